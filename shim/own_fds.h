// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The fds that are ours, in a program that closes, copies over and counts fds
// as it likes.  To the program they do not exist: its calls on them get EBADF, but
// for close(2), which has done nothing.
#pragma once

#include <errno.h>
#include <sys/resource.h>

#include <atomic>

namespace udpcr::own_fds {

enum class Use { channel, log };
inline constexpr int kUses = 2;

inline constinit std::atomic<int> numbers[kUses] = {-1, -1};

inline int get(Use use) { return numbers[static_cast<int>(use)].load(std::memory_order_acquire); }

inline bool is_own(int fd) {
  return fd >= 0 && (numbers[0].load(std::memory_order_relaxed) == fd ||
                     numbers[1].load(std::memory_order_relaxed) == fd);
}

// What the program's calls on ours are answered: they do not exist.
inline int bad_fd() {
  errno = EBADF;
  return -1;
}
// For a call that is passed on; ours may have moved to `fd` just now.
inline int hidden(int fd) { return is_own(fd) ? -1 : fd; }

// Moves `fd` out of reach, close-on-exec, and protects it.  The fd is ours from
// here on.  Out of reach is above the soft RLIMIT_NOFILE, where the program
// cannot have fds; where the limits forbid that, or that would be very high, a
// number below 1024 that is as high as it can be.
void take(Use use, int fd);
// After the program has raised its limit: out of reach again.
void rise();
// Closes it, if there is one.
void drop(Use use);
// Takes `fd` over in the place of the one that there is, which is closed.  In
// the child of fork.
void replace(Use use, int fd);
// While it lives this process may have fds a little above its soft limit and
// above `number`.  Its other threads could see that: for the child of fork, which
// has none, and for one that has no fd left.
class RaisedLimit {
 public:
  explicit RaisedLimit(int number);
  ~RaisedLimit();
  RaisedLimit(const RaisedLimit&) = delete;
  RaisedLimit& operator=(const RaisedLimit&) = delete;

 private:
  rlimit64 before_{};
};
// Before number `fd` is copied over: ours moves away.  True: `fd` was ours; it
// stays open until it is copied over.
bool make_way(int fd);
// The call has failed: ours is at `fd` still.
void move_back(int fd);
// The kernel gave the program `fd` as the lowest free number from `first` on.
// Where one of ours was in the way, it moves and `fd` gets its number.
int without_ours(int fd, int first);
// The lowest of ours that is not below `first`; -1: none.
int lowest_from(unsigned first);

}  // namespace udpcr::own_fds
