// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The fds that are ours, in a program that closes, copies over and counts fds
// as it likes.  To the program they do not exist: its calls on them get EBADF.
#pragma once

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

// Moves `fd` to a high number, close-on-exec, and protects it.  The fd is ours
// from here on.
void take(Use use, int fd);
// Closes it, if there is one.
void drop(Use use);
// Puts `fd` in the place of the one that there is, in one step, and takes it
// over.  False with errno: nothing has changed, `fd` is closed.
bool replace(Use use, int fd);
// Before number `fd` is copied over: ours moves away.  True: `fd` was ours; it
// stays open until it is copied over.
bool make_way(int fd);
// The lowest of ours that is not below `first`; -1: none.
int lowest_from(unsigned first);

}  // namespace udpcr::own_fds
