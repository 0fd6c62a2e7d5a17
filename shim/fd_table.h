// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The program's UDP fds, as far as its calls told us.  Atomics only: read by
// the signal handler and by every thread.  An entry may be stale (the fd was
// closed behind our back), so whoever relies on one compares the inode.
//
// Writers do nothing in a process that shares our memory but not our fds (the
// child of vfork).
#pragma once

#include <stdint.h>

#include <atomic>

#include "wire.h"

namespace udpcr {

// Our own marks beside wire::kFd*.
constexpr uint32_t kFdIpv6 = 1U << 16;
constexpr uint32_t kFdUdpLite = 1U << 17;
constexpr uint32_t kFdShared = 1U << 18;     // was dup'ed: other fds have the same socket
constexpr uint32_t kFdConnected = 1U << 19;  // connect(2) succeeded
constexpr uint32_t kFdAdopted = 1U << 20;    // restored, in the place of a fresh socket
constexpr uint32_t kFdExchange = 1U << 21;   // ... and connect(2) may put another in its place
constexpr uint32_t kFdForked = 1U << 22;     // other processes have had it since a fork
constexpr uint32_t kFdParked =
    1U << 23;  // the keeper has it as well, and must be told of its close
// What goes over the wire.
constexpr uint32_t kFdWireFlags = wire::kFdOriginKnown | wire::kFdBound | wire::kFdBoundPort |
                                  wire::kFdBoundAddress | wire::kFdCloexec;

struct FdSlot {
  std::atomic<uint64_t> inode;  // 0: not tracked
  std::atomic<uint32_t> flags;
  std::atomic<uint64_t> before;  // when it is not: of the socket that it had, and its flags
};

class FdTable {
 public:
  static constexpr int kChunkSize = 1024;
  static constexpr int kChunks = 1024;
  static constexpr int kMostFds = kChunkSize * kChunks;
  static_assert(kMostFds == wire::kMostNumber);

  // nullptr: not tracked.
  FdSlot* find(int fd) {
    if (fd < 0 || fd >= kMostFds) return nullptr;
    FdSlot* const chunk = chunks_[fd / kChunkSize].load(std::memory_order_acquire);
    if (chunk == nullptr) return nullptr;
    FdSlot* const slot = &chunk[fd % kChunkSize];
    return slot->inode.load(std::memory_order_acquire) == 0 ? nullptr : slot;
  }

  // False: there is no memory or the number is too high.
  bool track(int fd, uint64_t inode, uint32_t flags);
  void forget(int fd);
  // Inclusive; `last` may be beyond every fd.
  void forget_range(unsigned first, unsigned last);
  void set_cloexec_range(unsigned first, unsigned last);
  void copy(int from, int to, bool cloexec);
  void set_cloexec(int fd, bool cloexec);
  // Of the socket: of every fd that refers to it.
  void change_socket_flags(int fd, uint32_t set, uint32_t clear);

  // What was known of a socket whose last known fd was closed; 0: nothing.  It
  // may live on at fds that came unseen.
  uint32_t flags_of_forgotten(uint64_t inode);
  // Behind the last fd for which there is memory.
  int end() {
    int number = kChunks;
    while (number > 0 && chunks_[number - 1].load(std::memory_order_acquire) == nullptr) --number;
    return number * kChunkSize;
  }

  // Calls `visit(int fd, FdSlot& slot)` until it returns false.
  template <typename Visit>
  void each(Visit visit) {
    for (int number = 0; number < kChunks; ++number) {
      FdSlot* const chunk = chunks_[number].load(std::memory_order_acquire);
      if (chunk == nullptr) continue;
      for (int i = 0; i < kChunkSize; ++i) {
        if (chunk[i].inode.load(std::memory_order_acquire) == 0) continue;
        if (!visit(number * kChunkSize + i, chunk[i])) return;
      }
    }
  }
  // The fds of one socket.
  template <typename Visit>
  void each_of(uint64_t inode, Visit visit) {
    each([&](int fd, FdSlot& slot) {
      if (slot.inode.load(std::memory_order_relaxed) == inode) visit(fd, slot);
      return true;
    });
  }

 private:
  FdSlot* chunk_for(int fd);
  template <typename Change>
  void each_in_range(unsigned first, unsigned last, Change change);

  std::atomic<FdSlot*> chunks_[kChunks];
};

extern FdTable fd_table;

// The process whose memory this is: its pid stands in a page that the kernel
// clears in whoever gets a copy (MADV_WIPEONFORK, Linux 4.14), whether or not
// our handler of fork ran there.
constexpr pid_t kNoProcess = -1;
extern std::atomic<pid_t>* owner_pid;

// In the constructor.
void remember_process();
// False: it shares the memory of another one (the child of vfork), or is an
// unnoticed copy.
bool is_own_process();
// A child that raw system calls have made: fork.h.
inline bool is_unnoticed_copy() { return owner_pid->load(std::memory_order_relaxed) == 0; }
// True: it was one, and is not any more.
bool become_own_process();

// The slot of a UDP socket's fd; one that no call of ours has seen before
// (SCM_RIGHTS, raw system calls) is tracked from here on.  nullptr: it is none.
FdSlot* find_or_track(int fd);

// Inode and kind of an fd; false when it is no UDP socket over IPv4 or IPv6, or, which
// is said, when it cannot be looked at.
bool examine_socket(int fd, uint64_t& inode, uint32_t& flags);
// 0: not open, or it cannot be looked at.
uint64_t inode_of(int fd);
// What was known of an open fd holds where it cannot be looked at.
bool has_inode(int fd, uint64_t inode);

}  // namespace udpcr
