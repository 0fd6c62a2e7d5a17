// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The kernel starts no sleep again after a handler: signal(7).  A checkpoint
// does not shorten it.
#include "interpose.h"
#include "libc.h"
#include "signal_wait.h"
#include "signals.h"

using udpcr::libc;
namespace signals = udpcr::signals;

UDPCR_EXPORT int nanosleep(const timespec* time, timespec* left) {
  timespec rest{};
  for (const timespec* now = time;; now = &rest) {
    signals::self.interrupted = false;
    const int result = libc().nanosleep(now, &rest);
    if (signals::is_ours(result)) continue;
    if (result < 0 && errno == EINTR && left != nullptr) *left = rest;
    return result;
  }
}

UDPCR_EXPORT int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) {
  timespec rest{};
  const bool until = (flags & TIMER_ABSTIME) != 0;
  for (const timespec* now = time;; now = until ? time : &rest) {
    signals::self.interrupted = false;
    const int error = libc().clock_nanosleep(clock, flags, now, &rest);
    if (error == EINTR && signals::self.interrupted) continue;
    if (error == EINTR && !until && left != nullptr) *left = rest;
    return error;
  }
}

UDPCR_EXPORT int usleep(useconds_t microseconds) {
  const timespec time{microseconds / 1'000'000, microseconds % 1'000'000 * 1000L};
  return nanosleep(&time, nullptr);
}

// What is left, in whole seconds.
UDPCR_EXPORT unsigned sleep(unsigned seconds) {
  const int before = errno;
  timespec left{seconds, 0};
  if (nanosleep(&left, &left) != 0) return static_cast<unsigned>(left.tv_sec);
  errno = before;
  return 0;
}
