// SPDX-License-Identifier: LGPL-2.1-or-later
#include "earlier_run.h"

#include <atomic>

#include "adopt.h"
#include "channel.h"
#include "fd_table.h"
#include "sys.h"
#include "turn.h"

namespace udpcr {

namespace {

// For keepers that say that they are about to close; for those that say nothing.
constexpr int kPatienceMs = 10'000;
constexpr int kSilentMs = 1000;
constexpr int kPollMs = 5;

// Whoever has ended has given up his name, or his channel, a moment before the last of
// his sockets is closed.  For all binds of the process together: most ports that are in
// use are in use by somebody else.
constinit std::atomic<int> looks_at_an_end{10};

bool look_once_more() {
  if (looks_at_an_end.fetch_sub(1, std::memory_order_relaxed) > 0) {
    sys::poll(nullptr, 0, kPollMs);
    return true;
  }
  looks_at_an_end.store(0, std::memory_order_relaxed);
  return false;
}

int ask_keeper() {
  const Turn own_turn(adopt::turn);
  return channel::ask(wire::OthersMessage{{wire::Type::others, wire::kVersion}});
}

}  // namespace

bool EarlierRun::is_closing() {
  // The child of vfork has fds of its own, and must not wait for anyone.
  if (last_ || !channel::is_open() || !is_own_process()) return false;
  const KeepErrno keep;
  const int64_t before = channel::milliseconds_now();
  if (deadline_ms_ == 0) deadline_ms_ = before + kPatienceMs;
  const int answer = ask_keeper();
  const int64_t now = channel::milliseconds_now();
  if (answer == EPIPE || answer == ECONNRESET) return look_once_more();
  if (answer != EAGAIN && answer != EBUSY) {
    if (answer == 0 && look_once_more()) return true;
    // It may have closed them between the bind and the question.
    last_ = true;
    return answer == 0;
  }
  if (answer == EBUSY) silent_ms_ += static_cast<int>(now - before) + kPollMs;
  if (now > deadline_ms_ || silent_ms_ > kSilentMs) return false;
  sys::poll(nullptr, 0, kPollMs);
  return true;
}

}  // namespace udpcr
