// SPDX-License-Identifier: LGPL-2.1-or-later
#include "own_fds.h"

#include "sys.h"

namespace udpcr::own_fds {

namespace {

std::atomic<int>& number_of(Use use) { return numbers[static_cast<int>(use)]; }

}  // namespace

void take(Use use, int fd) {
  const KeepErrno keep;
  const int high = sys::dup_high(fd);
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

bool replace(Use use, int fd) {
  const int place = get(use);
  const bool replaced = sys::dup3(fd, place, O_CLOEXEC) == place;
  const KeepErrno keep;
  sys::close(fd);
  return replaced;
}

bool make_way(int fd) {
  const KeepErrno keep;
  for (std::atomic<int>& number : numbers) {
    if (fd < 0 || number.load(std::memory_order_relaxed) != fd) continue;
    number.store(sys::dup_high(fd), std::memory_order_release);
    return true;
  }
  return false;
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
