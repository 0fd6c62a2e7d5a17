// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Calls that wait for signals, or with a mask of their own.
#include <string.h>

#include "interpose.h"
#include "libc.h"
#include "signal_wait.h"
#include "signals.h"

using udpcr::libc;
using udpcr::signals::TimeLeft;
using udpcr::signals::wait_with_mask;
namespace signals = udpcr::signals;

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

UDPCR_EXPORT int sigsuspend(const sigset_t* mask) {
  return wait_with_mask(mask, libc().sigsuspend);
}

UDPCR_EXPORT int pause() {
  return wait_with_mask(nullptr, [](const sigset_t*) { return libc().pause(); });
}

namespace {

// The program's mask of this thread without one signal.
int suspend_without(int signal) {
  sigset_t mask;
  if (sigprocmask(SIG_BLOCK, nullptr, &mask) != 0 || sigdelset(&mask, signal) != 0) return -1;
  return sigsuspend(&mask);
}

int suspend_with_bsd_mask(int bits) {
  sigset_t mask;
  sigemptyset(&mask);
  memcpy(&mask, &bits, sizeof bits);
  return sigsuspend(&mask);
}

}  // namespace

#undef sigpause
UDPCR_EXPORT int __xpg_sigpause(int signal) { return suspend_without(signal); }

UDPCR_EXPORT int __sigpause(int signal_or_mask, int is_signal) {
  return is_signal != 0 ? suspend_without(signal_or_mask) : suspend_with_bsd_mask(signal_or_mask);
}

extern "C" __attribute__((visibility("default"))) int udpcr_bsd_sigpause(int mask) __asm__(
    "sigpause");
int udpcr_bsd_sigpause(int mask) { return suspend_with_bsd_mask(mask); }

UDPCR_EXPORT int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  TimeLeft left(timeout);
  return wait_with_mask(mask, [&](const sigset_t* in_force) {
    return libc().ppoll(fds, count, left.get(), in_force);
  });
}

// Of programs built with _FORTIFY_SOURCE; the real one ends those whose `fds`
// is too small.
UDPCR_EXPORT int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout,
                             const sigset_t* mask, size_t size) {
  TimeLeft left(timeout);
  return wait_with_mask(mask, [&](const sigset_t* in_force) {
    return libc().__ppoll_chk(fds, count, left.get(), in_force, size);
  });
}

UDPCR_EXPORT int pselect(int count, fd_set* readable, fd_set* writable, fd_set* exceptional,
                         const timespec* timeout, const sigset_t* mask) {
  TimeLeft left(timeout);
  return wait_with_mask(mask, [&](const sigset_t* in_force) {
    return libc().pselect(count, readable, writable, exceptional, left.get(), in_force);
  });
}

UDPCR_EXPORT int epoll_pwait2(int fd, epoll_event* events, int room, const timespec* timeout,
                              const sigset_t* mask) {
  TimeLeft left(timeout);
  return wait_with_mask(mask, [&](const sigset_t* in_force) {
    return libc().epoll_pwait2(fd, events, room, left.get(), in_force);
  });
}

UDPCR_EXPORT int epoll_pwait(int fd, epoll_event* events, int room, int timeout_ms,
                             const sigset_t* mask) {
  const timespec timeout{timeout_ms / 1000, timeout_ms % 1000 * 1'000'000L};
  TimeLeft left(timeout_ms > 0 ? &timeout : nullptr);
  return wait_with_mask(mask, [&](const sigset_t* in_force) {
    const timespec* const now = left.get();
    // Not before its time: rounded up.
    const int now_ms =
        now == nullptr
            ? timeout_ms
            : static_cast<int>(now->tv_sec * 1000 + (now->tv_nsec + 999'999) / 1'000'000);
    return libc().epoll_pwait(fd, events, room, now_ms, in_force);
  });
}

UDPCR_EXPORT int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* timeout) {
  return signals::wait_for(*set, info, timeout);
}

UDPCR_EXPORT int sigwaitinfo(const sigset_t* set, siginfo_t* info) {
  return signals::wait_for(*set, info, nullptr);
}

UDPCR_EXPORT int sigwait(const sigset_t* set, int* signal) {
  int result = 0;
  const int before = errno;
  do {
    result = signals::wait_for(*set, nullptr, nullptr);
  } while (result < 0 && errno == EINTR);
  const int error = errno;
  errno = before;
  if (result < 0) return error;
  *signal = result;
  return 0;
}

UDPCR_EXPORT int sigpending(sigset_t* set) noexcept {
  const int result = libc().sigpending(set);
  if (result == 0 && signals::is_pending()) sigaddset(set, signals::watched_signal());
  return result;
}

UDPCR_EXPORT int signalfd(int fd, const sigset_t* mask, int flags) noexcept {
  const int result = libc().signalfd(fd, mask, flags);
  const int signal = signals::watched_signal();
  if (result >= 0 && signals::is_watched(signal) && sigismember(mask, signal) == 1) {
    signals::hold_in_kernel();
  }
  return result;
}
