// SPDX-License-Identifier: LGPL-2.1-or-later
#include "own_fds.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "real.h"
#include "shim.h"

namespace udpcr::own_fds {

namespace {

// Below the limit, so that programs that count down from it find theirs first.
constexpr int kRoomBelowLimit = 32;
// Programs with an unlimited fd table need no table of that size from us.
constexpr int kHighestStart = 65536;

int duplicate_high(int fd) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  int start = limit.rlim_cur > kHighestStart ? kHighestStart : static_cast<int>(limit.rlim_cur);
  for (start -= kRoomBelowLimit; start > 2; start /= 2) {
    const int moved = real().fcntl(fd, F_DUPFD_CLOEXEC, start);
    if (moved >= 0) return moved;
  }
  return -1;
}

std::atomic<int>* const kOwn[] = {&shim.channel, &shim.log_fd};

}  // namespace

int move_up(int fd) {
  const KeepErrno keep;
  const int moved = duplicate_high(fd);
  if (moved < 0) {
    real().fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
  }
  real().close(fd);
  return moved;
}

bool is_ours(int fd) {
  if (fd < 0) return false;
  for (const std::atomic<int>* own : kOwn) {
    if (own->load(std::memory_order_relaxed) == fd) return in_own_process();
  }
  return false;
}

void make_way(int fd) {
  const KeepErrno keep;
  for (std::atomic<int>* own : kOwn) {
    if (fd < 0 || own->load() != fd || !in_own_process()) continue;
    const int moved = real().fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
    own->store(moved >= 0 ? moved : duplicate_high(fd));
  }
}

int next_from(unsigned first) {
  int found = -1;
  for (const std::atomic<int>* own : kOwn) {
    const int fd = own->load();
    if (fd < 0 || static_cast<unsigned>(fd) < first) continue;
    if (found < 0 || fd < found) found = fd;
  }
  return found;
}

}  // namespace udpcr::own_fds
