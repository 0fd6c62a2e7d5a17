// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Calls that wait with a signal mask of their own, or for signals.  A
// checkpoint does not end them; an own signal does what it would without us.
#pragma once

#include <signal.h>
#include <time.h>

#include "libc.h"
#include "signal_thread.h"
#include "signals.h"
#include "sys.h"

namespace udpcr::signals {

// What is left of a timeout when a call is made again.
class TimeLeft {
 public:
  explicit TimeLeft(const timespec* timeout) : timeout_(timeout) {
    if (timeout != nullptr) clock_gettime(CLOCK_MONOTONIC, &start_);
  }
  // At first the program's own.
  const timespec* get();

 private:
  const timespec* timeout_;
  timespec start_{};
  timespec left_{};
  bool again_ = false;
};

// Ended by a checkpoint, or by a signal that the program blocks.
inline bool is_ours(long result) { return result < 0 && errno == EINTR && self.interrupted; }

// The program's mask for one call.  `hidden`: it blocks the watched signal.
// Else that is really blocked until the call opens it, so that none is missed.
class MaskedWait {
 public:
  explicit MaskedWait(const sigset_t& mask);
  ~MaskedWait();
  MaskedWait(const MaskedWait&) = delete;
  MaskedWait& operator=(const MaskedWait&) = delete;
  // For the kernel.
  const sigset_t* mask();

 private:
  sigset_t mask_;
  bool hidden_;
  bool really_blocked_ = false;
  Wait wait_{};
  Wait* outer_ = nullptr;
};

// `call(mask)` until it was not we who ended it.
template <typename Call>
auto wait_with_mask(const sigset_t* mask, Call call) {
  const auto until_done = [&](auto next_mask) {
    for (;;) {
      self.interrupted = false;
      const auto result = call(next_mask());
      if (!is_ours(result)) return result;
    }
  };
  if (watched_signal() == 0) return call(mask);
  if (mask == nullptr) return until_done([] { return static_cast<const sigset_t*>(nullptr); });
  MaskedWait wait(*mask);
  return until_done([&] { return wait.mask(); });
}

// sigtimedwait(2).
int wait_for(const sigset_t& set, siginfo_t* info, const timespec* timeout);
// What sigpending(2) adds.
bool is_pending();

}  // namespace udpcr::signals
