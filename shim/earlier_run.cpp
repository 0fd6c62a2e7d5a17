// SPDX-License-Identifier: LGPL-2.1-or-later
#include "earlier_run.h"

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
  if (answer != EAGAIN && answer != EBUSY) {
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
