// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sys.h"

#include <sys/resource.h>

namespace udpcr {

[[gnu::noinline]] long system_call(long number, long one, long two, long three, long four,
                                   long five, long six) {
  return raw_system_call(number, one, two, three, four, five, six);
}

}  // namespace udpcr

namespace udpcr::sys {

namespace {

// FD_SETSIZE, and what the kernel's fd table of an ordinary process holds.
constexpr long kCeiling = 1024;
constexpr long kRoom = 16;

}  // namespace

int dup_high(int fd) {
  rlimit files{};
  long ceiling = kCeiling;
  if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &files) == 0 &&
      files.rlim_cur < static_cast<rlim_t>(kCeiling)) {
    ceiling = static_cast<long>(files.rlim_cur);
  }
  for (long lowest = ceiling - kRoom; lowest > STDERR_FILENO; lowest -= lowest / 4 + kRoom) {
    const int high = fcntl(fd, F_DUPFD_CLOEXEC, lowest);
    if (high >= 0) return high;
  }
  return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

}  // namespace udpcr::sys
