// SPDX-License-Identifier: LGPL-2.1-or-later
#include "signal_wait.h"

#include <string.h>

#include "signal_children.h"

namespace udpcr::signals {

namespace {

constexpr long kSecond = 1'000'000'000;

// Really blocked while it lives.
class BlockReally {
 public:
  BlockReally() { set(SIG_BLOCK); }
  ~BlockReally() {
    if (!self.held) set(SIG_UNBLOCK);
  }
  BlockReally(const BlockReally&) = delete;
  BlockReally& operator=(const BlockReally&) = delete;

 private:
  static void set(int how) {
    const KeepErrno keep;
    const uint64_t bit = bit_of(watched_signal());
    sys::set_signal_mask(how, &bit, nullptr);
  }
};

int wait_for_others(const sigset_t& set, siginfo_t* info, const timespec* timeout) {
  TimeLeft left(timeout);
  for (;;) {
    self.interrupted = false;
    const int result = libc().sigtimedwait(&set, info, left.get());
    if (!is_ours(result)) return result;
  }
}

// The watched one among them, by the kernel or from what waits with us.
int wait_for_watched(int signal, const sigset_t& set, siginfo_t& info, const timespec* timeout) {
  TimeLeft left(timeout);
  for (;;) {
    if (is_any_kept()) {
      const KeepErrno keep;
      const BlockSignals all;
      To to{};
      if (take(info, to)) {
        // As glibc tells it.
        if (info.si_code == SI_TKILL) info.si_code = SI_USER;
        return signal;
      }
    }
    const int result = libc().sigtimedwait(&set, &info, left.get());
    if (result != signal) return result;
    const KeepErrno keep;
    if (deal_with(info) == Got::own) return result;
  }
}

}  // namespace

const timespec* TimeLeft::get() {
  if (timeout_ == nullptr || !again_) {
    again_ = true;
    return timeout_;
  }
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  left_.tv_sec = timeout_->tv_sec - (now.tv_sec - start_.tv_sec);
  left_.tv_nsec = timeout_->tv_nsec - (now.tv_nsec - start_.tv_nsec);
  while (left_.tv_nsec < 0) {
    left_.tv_nsec += kSecond;
    --left_.tv_sec;
  }
  while (left_.tv_nsec >= kSecond) {
    left_.tv_nsec -= kSecond;
    ++left_.tv_sec;
  }
  if (left_.tv_sec < 0) left_ = {0, 0};
  return &left_;
}

MaskedWait::MaskedWait(const sigset_t& mask)
    : mask_(mask), hidden_(sigismember(&mask, watched_signal()) == 1) {
  const KeepErrno keep;
  let_go_if_read();
  wait_.blocked_before = self.blocked;
  if (hidden_) {
    believe(true);
    return;
  }
  // Else it may as well come before the call begins.
  really_blocked_ = self.blocked;
  const uint64_t bit = bit_of(watched_signal());
  if (really_blocked_) sys::set_signal_mask(SIG_BLOCK, &bit, nullptr);
  memcpy(&wait_.mask, &mask_, sizeof wait_.mask);
  outer_ = self.wait;
  self.wait = &wait_;
  believe(false);
  // It comes when the call opens it.
  if (is_any_kept()) poke_this(watched_signal());
}

MaskedWait::~MaskedWait() {
  const KeepErrno keep;
  if (!hidden_) self.wait = outer_;
  believe(wait_.blocked_before);
  if (really_blocked_ && !self.held) {
    const uint64_t bit = bit_of(watched_signal());
    sys::set_signal_mask(SIG_UNBLOCK, &bit, nullptr);
  }
  if (!self.blocked) set_blocked_by_program(false);
}

const sigset_t* MaskedWait::mask() {
  if (hidden_ && !self.held) sigdelset(&mask_, watched_signal());
  if (hidden_ && self.held) sigaddset(&mask_, watched_signal());
  return &mask_;
}

int wait_for(const sigset_t& set, siginfo_t* info, const timespec* timeout) {
  const int signal = watched_signal();
  if (signal == 0 || (children::are_any() && children::settle())) {
    return libc().sigtimedwait(&set, info, timeout);
  }
  {
    const KeepErrno keep;
    let_go_if_read();
  }
  if (sigismember(&set, signal) != 1) return wait_for_others(set, info, timeout);
  const bool before = self.blocked;
  siginfo_t got;
  int result = 0;
  {
    const BlockReally blocked;
    // Signals to the process may come here.
    believe(false);
    result = wait_for_watched(signal, set, got, timeout);
    believe(before);
  }
  if (result > 0 && info != nullptr) *info = got;
  if (!before) {
    const KeepErrno keep;
    set_blocked_by_program(false);
  }
  return result;
}

bool is_pending() { return is_any_kept(); }

}  // namespace udpcr::signals
