// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The system calls that our own work is made of, raw (LAW.md 4).  They return
// as libc's do and set errno: KeepErrno around them.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "system_call.h"

// clone(3) of glibc by its other name: sanitizers interpose the usual one, and
// take a child that shares our memory for one of fork.
extern "C" int __clone(int (*function)(void*), void* stack, int flags, void* argument,
                       ...) noexcept;

namespace udpcr {

class KeepErrno {
 public:
  KeepErrno() : saved_(errno) {}
  ~KeepErrno() { errno = saved_; }
  KeepErrno(const KeepErrno&) = delete;
  KeepErrno& operator=(const KeepErrno&) = delete;

 private:
  int saved_;
};

namespace sys {

// The kernel's signal set: a word a 64 signals, bit N-1 for signal N.
constexpr size_t kSignalSetSize = 8;

inline int close(int fd) { return static_cast<int>(syscall(SYS_close, fd)); }

inline int fcntl(int fd, int command, long argument = 0) {
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}

inline int dup3(int from, int to, int flags) {
  return static_cast<int>(syscall(SYS_dup3, from, to, flags));
}

// Room above standard input, output and error, below what a select() can hold,
// and so low that the kernel's fd table need not grow: dup to the highest free
// place.  -1 with errno.
int dup_high(int fd);

inline int open(const char* path, int flags, unsigned mode = 0) {
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

// Of files.
inline ssize_t read(int fd, void* buffer, size_t size) {
  ssize_t result = -1;
  do {
    result = syscall(SYS_read, fd, buffer, size);
  } while (result < 0 && errno == EINTR);
  return result;
}

inline ssize_t write(int fd, const void* buffer, size_t size) {
  return syscall(SYS_write, fd, buffer, size);
}

// That the kernel was short of memory for a moment says nothing of what was asked.
template <typename Call>
long persist(Call call) {
  constexpr int kAttempts = 10;
  long result = call();
  for (int left = kAttempts; result < 0 && (errno == ENOMEM || errno == ENOBUFS) && left > 0;
       --left) {
    const timespec pause{0, 1000000};
    syscall(SYS_nanosleep, &pause, nullptr);
    result = call();
  }
  return result;
}

// Of glibc's from 2.33 on fstat() is newfstatat(2): a program's seccomp filter may know
// only that one, or only the other.
inline int fstat(int fd, struct stat* status) {
  const long result = persist([&] { return syscall(SYS_fstat, fd, status); });
  if (result == 0 || errno == EBADF) return static_cast<int>(result);
  return static_cast<int>(
      persist([&] { return syscall(SYS_newfstatat, fd, "", status, AT_EMPTY_PATH); }));
}

inline int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  return static_cast<int>(
      persist([&] { return syscall(SYS_getsockopt, fd, level, name, value, size); }));
}

inline int setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  return static_cast<int>(syscall(SYS_setsockopt, fd, level, name, value, size));
}

inline ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return syscall(SYS_sendmsg, fd, message, flags);
}

inline ssize_t recvmsg(int fd, msghdr* message, int flags) {
  return persist([&] { return syscall(SYS_recvmsg, fd, message, flags); });
}

// poll(2) proper is missing on newer architectures.  In the signal handler, which has
// little stack.
inline int poll_once(pollfd* fds, nfds_t count, int timeout_ms) {
#ifdef SYS_poll
  return static_cast<int>(syscall(SYS_poll, fds, count, timeout_ms));
#else
  timespec timeout{timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
  return static_cast<int>(
      syscall(SYS_ppoll, fds, count, timeout_ms < 0 ? nullptr : &timeout, nullptr, 0));
#endif
}

inline int poll(pollfd* fds, nfds_t count, int timeout_ms) {
  return static_cast<int>(persist([&] { return poll_once(fds, count, timeout_ms); }));
}

// Returns after a wake-up, a signal, `timeout_ms`, or at once when the word is
// no longer `value`.  The word is shared with another process.  True: the time is over.
inline bool futex_wait(const uint32_t* word, uint32_t value, int timeout_ms) {
  const timespec timeout{timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
  return syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, nullptr, 0) != 0 &&
         errno == ETIMEDOUT;
}

inline pid_t getpid() { return static_cast<pid_t>(syscall(SYS_getpid)); }

inline void set_signal_mask(int how, const uint64_t* set, uint64_t* old) {
  syscall(SYS_rt_sigprocmask, how, set, old, kSignalSetSize);
}

[[noreturn]] inline void exit_group(int status) {
  for (;;) syscall(SYS_exit_group, status);
}

}  // namespace sys

// All signals wait while it lives.
class BlockSignals {
 public:
  BlockSignals() {
    const uint64_t all = ~uint64_t{0};
    sys::set_signal_mask(SIG_SETMASK, &all, &before_);
  }
  ~BlockSignals() { sys::set_signal_mask(SIG_SETMASK, &before_, nullptr); }
  BlockSignals(const BlockSignals&) = delete;
  BlockSignals& operator=(const BlockSignals&) = delete;

 private:
  uint64_t before_ = 0;
};

}  // namespace udpcr
