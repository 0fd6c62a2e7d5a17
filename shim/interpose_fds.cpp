// SPDX-License-Identifier: LGPL-2.1-or-later
//
// close, dup, fcntl and their relatives: the fd table follows, our own fds stay.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdarg.h>
#include <unistd.h>

#include <climits>

#include "adopt.h"
#include "fd_table.h"
#include "notes.h"
#include "own_fds.h"
#include "real.h"
#include "shim.h"

namespace udpcr {

namespace {

// A socket is forgotten before its number is free for another thread.
void before_close(int fd) {
  if (!fd_table::tracked(fd) || !in_own_process()) return;
  fd_table::forget(fd);
  if (adopt::possible()) notes::forget_fd(fd);
}

void forget_range(unsigned first, unsigned last) {
  if (!in_own_process()) return;
  const auto end = static_cast<unsigned>(fd_table::end());
  for (unsigned fd = first; fd <= last && fd < end; ++fd) before_close(static_cast<int>(fd));
}

void cloexec_range(unsigned first, unsigned last) {
  if (!in_own_process()) return;
  const auto end = static_cast<unsigned>(fd_table::end());
  for (unsigned fd = first; fd <= last && fd < end; ++fd) {
    fd_table::set_cloexec(static_cast<int>(fd), true);
  }
}

// `target` was overwritten by a duplicate of `fd`.
void after_duplicate(int fd, int target, bool cloexec) {
  if ((!fd_table::tracked(fd) && !fd_table::tracked(target)) || !in_own_process()) return;
  fd_table::duplicate(fd, target, cloexec);
}

int control(int (*call)(int, int, ...), int fd, int command, void* argument) {
  if (own_fds::is_ours(fd)) {
    errno = EBADF;
    return -1;
  }
  const int result = call(fd, command, argument);
  if (result < 0 || !fd_table::tracked(fd) || !in_own_process()) return result;
  if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
    fd_table::duplicate(fd, result, command == F_DUPFD_CLOEXEC);
  } else if (command == F_SETFD) {
    fd_table::set_cloexec(fd, (reinterpret_cast<uintptr_t>(argument) & FD_CLOEXEC) != 0);
  }
  return result;
}

}  // namespace

UDPCR_EXPORT int close(int fd) {
  if (own_fds::is_ours(fd)) {
    errno = EBADF;
    return -1;
  }
  before_close(fd);
  return real().close(fd);
}

UDPCR_EXPORT int close_range(unsigned first, unsigned last, int flags) noexcept {
  if (first <= last && (static_cast<unsigned>(flags) & CLOSE_RANGE_CLOEXEC) != 0) {
    cloexec_range(first, last);
    return real().close_range(first, last, flags);
  }
  if (first <= last) forget_range(first, last);
  // In pieces around our own.
  for (int own = own_fds::next_from(first);
       in_own_process() && own >= 0 && first <= last && static_cast<unsigned>(own) <= last;
       own = own_fds::next_from(first)) {
    const auto border = static_cast<unsigned>(own);
    if (border > first && real().close_range(first, border - 1, flags) != 0) return -1;
    first = border + 1;
    if (first > last) return 0;
  }
  return real().close_range(first, last, flags);
}

UDPCR_EXPORT void closefrom(int lowest) noexcept {
  const KeepErrno keep;
  if (close_range(lowest < 0 ? 0 : static_cast<unsigned>(lowest), UINT_MAX, 0) != 0) {
    real().closefrom(lowest);
  }
}

UDPCR_EXPORT int dup(int fd) noexcept {
  if (own_fds::is_ours(fd)) {
    errno = EBADF;
    return -1;
  }
  const int copy = real().dup(fd);
  if (copy >= 0) after_duplicate(fd, copy, false);
  return copy;
}

UDPCR_EXPORT int dup2(int fd, int target) noexcept {
  if (own_fds::is_ours(fd)) {
    errno = EBADF;
    return -1;
  }
  own_fds::make_way(target);
  const int result = real().dup2(fd, target);
  if (result >= 0 && fd != target) after_duplicate(fd, target, false);
  return result;
}

UDPCR_EXPORT int dup3(int fd, int target, int flags) noexcept {
  if (own_fds::is_ours(fd)) {
    errno = EBADF;
    return -1;
  }
  own_fds::make_way(target);
  const int result = real().dup3(fd, target, flags);
  if (result >= 0) after_duplicate(fd, target, (flags & O_CLOEXEC) != 0);
  return result;
}

UDPCR_EXPORT int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return control(real().fcntl, fd, command, argument);
}

UDPCR_EXPORT int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return control(real().fcntl64, fd, command, argument);
}

}  // namespace udpcr
