// SPDX-License-Identifier: LGPL-2.1-or-later
#include "own_fds.h"

#include <sched.h>
#include <sys/wait.h>

#include "fd_table.h"
#include "libc.h"
#include "sys.h"

namespace udpcr::own_fds {

namespace {

std::atomic<int>& number_of(Use use) { return numbers[static_cast<int>(use)]; }

// A limit beyond which the kernel's fd table would grow too much for us, and
// with it every fork.
constexpr rlim64_t kHighestLimit = 4096;
constexpr rlim64_t kRoom = 64;

rlimit64 limit_now() {
  rlimit64 limit{};
  syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
  return limit;
}

// False: the hard limit stands in the way, and may not be raised either.
bool raise_limit(const rlimit64& now, rlim64_t above) {
  const rlim64_t wanted = above + kRoom;
  const rlimit64 raised{wanted, now.rlim_max < wanted ? wanted : now.rlim_max};
  return syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &raised, nullptr) == 0;
}

struct Rise {
  int fd;
  rlimit64 now;
  int high;
};

// In a process that shares memory and fds with us.  Limits are its own: the
// program's threads and children see nothing of it.
int dup_above_limit(void* argument) {
  auto& rise = *static_cast<Rise*>(argument);
  if (raise_limit(rise.now, rise.now.rlim_cur)) {
    rise.high = sys::fcntl(rise.fd, F_DUPFD_CLOEXEC, static_cast<long>(rise.now.rlim_cur));
  }
  syscall(SYS_exit, 0);
  return 0;
}

// -1: it cannot be done.
int above_limit(int fd) {
  Rise rise{fd, limit_now(), -1};
  if (rise.now.rlim_cur == 0 || rise.now.rlim_cur > kHighestLimit) return -1;
  alignas(16) unsigned char stack[8192];
  const BlockSignals blocked;
  const int process =
      __clone(dup_above_limit, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES, &rise);
  if (process < 0) return -1;
  while (syscall(SYS_wait4, process, nullptr, __WCLONE, nullptr) < 0 && errno == EINTR) {
  }
  return rise.high;
}

}  // namespace

RaisedLimit::RaisedLimit(int number) : before_(limit_now()) {
  const auto least = static_cast<rlim64_t>(number < 0 ? 0 : number);
  raise_limit(before_, least < before_.rlim_cur ? before_.rlim_cur : least);
}

RaisedLimit::~RaisedLimit() { syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &before_, nullptr); }

void take(Use use, int fd) {
  const KeepErrno keep;
  int high = above_limit(fd);
  if (high < 0) high = sys::dup_high(fd);
  if (high >= 0) {
    sys::close(fd);
    fd = high;
  }
  number_of(use).store(fd, std::memory_order_release);
}

void drop(Use use) {
  const KeepErrno keep;
  const int fd = number_of(use).exchange(-1, std::memory_order_acq_rel);
  if (fd >= 0) sys::close(fd);
}

void rise() {
  if (!is_own_process()) return;
  const KeepErrno keep;
  const rlimit64 now = limit_now();
  for (std::atomic<int>& number : numbers) {
    const int before = number.load(std::memory_order_relaxed);
    if (before < 0 || static_cast<rlim64_t>(before) >= now.rlim_cur) continue;
    int high = above_limit(before);
    if (high < 0) high = sys::dup_high(before);
    if (high < 0) continue;
    if (high < before) {
      sys::close(high);
      continue;
    }
    number.store(high, std::memory_order_release);
    sys::close(before);
  }
}

void replace(Use use, int fd) {
  const KeepErrno keep;
  const int place = get(use);
  bool replaced = sys::dup3(fd, place, O_CLOEXEC) == place;
  if (!replaced) {
    const RaisedLimit raised(place);
    replaced = sys::dup3(fd, place, O_CLOEXEC) == place;
  }
  if (!replaced) {
    // Its right to be there is gone.
    const int high = sys::dup_high(fd);
    number_of(use).store(high, std::memory_order_release);
    sys::close(place);
  }
  sys::close(fd);
}

bool make_way(int fd) {
  const KeepErrno keep;
  // The child of vfork: fds of its own, and our memory.
  if (!is_own_process()) return false;
  for (std::atomic<int>& number : numbers) {
    if (fd < 0 || number.load(std::memory_order_relaxed) != fd) continue;
    const int high = sys::dup_high(fd);
    if (high < 0) return false;  // there is no room
    number.store(high, std::memory_order_release);
    return true;
  }
  return false;
}

void move_back(int fd) {
  const KeepErrno keep;
  const uint64_t inode = inode_of(fd);
  for (std::atomic<int>& number : numbers) {
    const int moved = number.load(std::memory_order_relaxed);
    if (moved < 0 || moved == fd || inode_of(moved) != inode) continue;
    number.store(fd, std::memory_order_release);
    sys::close(moved);
  }
}

int without_ours(int fd, int first) {
  const int own = lowest_from(static_cast<unsigned>(first));
  if (own < 0 || own > fd || !make_way(own)) return fd;
  const KeepErrno keep;
  const int flags = sys::fcntl(fd, F_GETFD) == FD_CLOEXEC ? O_CLOEXEC : 0;
  if (sys::dup3(fd, own, flags) != own) return fd;
  sys::close(fd);
  return own;
}

int lowest_from(unsigned first) {
  int lowest = -1;
  for (const std::atomic<int>& number : numbers) {
    const int fd = number.load(std::memory_order_relaxed);
    if (fd < 0 || static_cast<unsigned>(fd) < first) continue;
    if (lowest < 0 || fd < lowest) lowest = fd;
  }
  return lowest;
}

}  // namespace udpcr::own_fds
