// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which fds of this process are UDP sockets, and what was seen of them.
// Lock-free: an fd number belongs to whoever opened it, and a reader that comes
// in between sees a socket that fstat then finds changed.
#pragma once

#include <stdint.h>

#include <atomic>

#include "wire.h"

namespace udpcr::fd_table {

// Beside wire::kFd*, in the same word.
constexpr uint32_t kTracked = 1U << 31;
constexpr uint32_t kShared = 1U << 30;   // dup'ed: others may have the same inode
constexpr uint32_t kAdopted = 1U << 29;  // came back from an image
constexpr uint32_t kPrivate = kTracked | kShared | kAdopted;

struct Slot {
  std::atomic<uint64_t> inode;
  std::atomic<uint32_t> word;
};

// nullptr when nothing at or near `fd` was ever tracked.  Async-signal-safe.
Slot* find(int fd);
// One past the highest fd ever tracked.  Async-signal-safe.
int end();

inline uint32_t word(int fd) {
  const Slot* slot = find(fd);
  return slot == nullptr ? 0 : slot->word.load(std::memory_order_acquire);
}
inline bool tracked(int fd) { return (word(fd) & kTracked) != 0; }

// `flags`: wire::kFd*.  Reads the inode by fstat.
void track(int fd, uint32_t flags);
void forget(int fd);
// `to` has become a duplicate of `from`.
void duplicate(int from, int to, bool cloexec);
// On every fd of the same socket.
void add_flags(int fd, uint32_t flags);
void set_cloexec(int fd, bool cloexec);

}  // namespace udpcr::fd_table
