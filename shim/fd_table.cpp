// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fd_table.h"

#include <netinet/in.h>
#include <string.h>

#include "log.h"
#include "sys.h"

namespace udpcr {

constinit FdTable fd_table{};

namespace {

constinit std::atomic<pid_t> owner_of_copies = kNoProcess;

}  // namespace

constinit std::atomic<pid_t>* owner_pid = &owner_of_copies;

namespace {

constinit FdSlot first_chunk[FdTable::kChunkSize] = {};

constexpr size_t kChunkBytes = sizeof(FdSlot) * FdTable::kChunkSize;

}  // namespace

void remember_process() {
  constexpr size_t kSize = 4096;
  void* const page =
      mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page != MAP_FAILED && madvise(page, kSize, MADV_WIPEONFORK) == 0) {
    owner_pid = static_cast<std::atomic<pid_t>*>(page);
  }
  owner_pid->store(sys::getpid(), std::memory_order_relaxed);
}

bool is_own_process() { return owner_pid->load(std::memory_order_relaxed) == sys::getpid(); }

bool become_own_process() {
  pid_t cleared = 0;
  if (owner_pid == &owner_of_copies) cleared = owner_pid->load(std::memory_order_relaxed);
  const pid_t own = sys::getpid();
  return cleared != own && owner_pid->compare_exchange_strong(cleared, own);
}

namespace {

void forget_slot(FdSlot& slot) {
  slot.before.store(slot.inode.load(std::memory_order_relaxed), std::memory_order_relaxed);
  slot.inode.store(0, std::memory_order_release);
}

}  // namespace

uint32_t FdTable::flags_of_forgotten(uint64_t inode) {
  for (std::atomic<FdSlot*>& place : chunks_) {
    FdSlot* const chunk = place.load(std::memory_order_acquire);
    for (int i = 0; chunk != nullptr && i < kChunkSize; ++i) {
      if (chunk[i].inode.load(std::memory_order_acquire) == 0 &&
          chunk[i].before.load(std::memory_order_relaxed) == inode) {
        return chunk[i].flags.load(std::memory_order_relaxed);
      }
    }
  }
  return 0;
}

FdSlot* FdTable::chunk_for(int fd) {
  std::atomic<FdSlot*>& place = chunks_[fd / kChunkSize];
  FdSlot* chunk = place.load(std::memory_order_acquire);
  if (chunk != nullptr) return chunk;
  if (fd < kChunkSize) {
    place.store(first_chunk, std::memory_order_release);
    return first_chunk;
  }
  void* const memory =
      mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* const fresh = static_cast<FdSlot*>(memory);
  if (place.compare_exchange_strong(chunk, fresh, std::memory_order_acq_rel)) return fresh;
  munmap(memory, kChunkBytes);
  return chunk;
}

bool FdTable::track(int fd, uint64_t inode, uint32_t flags) {
  if (fd < 0 || fd >= kMostFds || inode == 0) return false;
  if (!is_own_process()) return true;
  const KeepErrno keep;
  FdSlot* const chunk = chunk_for(fd);
  if (chunk == nullptr) return false;
  FdSlot& slot = chunk[fd % kChunkSize];
  slot.flags.store(flags, std::memory_order_relaxed);
  slot.inode.store(inode, std::memory_order_release);
  return true;
}

void FdTable::forget(int fd) {
  FdSlot* const slot = find(fd);
  if (slot != nullptr && is_own_process()) forget_slot(*slot);
}

template <typename Change>
void FdTable::each_in_range(unsigned first, unsigned last, Change change) {
  if (!is_own_process()) return;
  each([&](int fd, FdSlot& slot) {
    if (static_cast<unsigned>(fd) > last) return false;
    if (static_cast<unsigned>(fd) >= first) change(slot);
    return true;
  });
}

void FdTable::forget_range(unsigned first, unsigned last) {
  each_in_range(first, last, forget_slot);
}

void FdTable::set_cloexec_range(unsigned first, unsigned last) {
  each_in_range(first, last, [](FdSlot& slot) {
    slot.flags.fetch_or(wire::kFdCloexec, std::memory_order_relaxed);
  });
}

void FdTable::copy(int from, int to, bool cloexec) {
  FdSlot* const source = find(from);
  if (source == nullptr) return forget(to);
  if (!is_own_process()) return;
  uint32_t flags = source->flags.fetch_or(kFdShared, std::memory_order_relaxed) | kFdShared;
  flags = cloexec ? flags | wire::kFdCloexec : flags & ~wire::kFdCloexec;
  track(to, source->inode.load(std::memory_order_relaxed), flags);
}

void FdTable::set_cloexec(int fd, bool cloexec) {
  FdSlot* const slot = find(fd);
  if (slot == nullptr || !is_own_process()) return;
  if (cloexec) {
    slot->flags.fetch_or(wire::kFdCloexec, std::memory_order_relaxed);
  } else {
    slot->flags.fetch_and(~wire::kFdCloexec, std::memory_order_relaxed);
  }
}

void FdTable::change_socket_flags(int fd, uint32_t set, uint32_t clear) {
  FdSlot* const slot = find(fd);
  if (slot == nullptr) return;
  const auto change = [&](int, FdSlot& one) {
    one.flags.fetch_or(set, std::memory_order_relaxed);
    one.flags.fetch_and(~clear, std::memory_order_relaxed);
  };
  if ((slot->flags.load(std::memory_order_relaxed) & kFdShared) == 0) return change(fd, *slot);
  each_of(slot->inode.load(std::memory_order_relaxed), change);
}

FdSlot* find_or_track(int fd) {
  FdSlot* const known = fd_table.find(fd);
  // Closed behind our back, and now another one?
  if (known != nullptr && has_inode(fd, known->inode.load(std::memory_order_relaxed))) {
    return known;
  }
  if (owner_pid->load(std::memory_order_relaxed) == kNoProcess) return nullptr;
  uint64_t inode = 0;
  uint32_t flags = 0;
  if (!examine_socket(fd, inode, flags)) {
    fd_table.forget(fd);
    return nullptr;
  }
  // Bound by whom is not known, unless it was here before; nor whether others
  // share it.
  const uint32_t forgotten = fd_table.flags_of_forgotten(inode) & ~wire::kFdCloexec;
  if ((forgotten & (wire::kFdBound | kFdConnected)) != 0) flags |= forgotten;
  fd_table.track(fd, inode, flags | kFdShared);
  return fd_table.find(fd);
}

namespace {

constinit std::atomic<bool> said_unseen = false;

// EBADF: another thread has just closed it.
void say_unseen(int fd, int error) {
  if (error == EBADF || said_unseen.exchange(true)) return;
  Line line;
  line << "fd " << fd << " cannot be looked at (fstat, getsockopt): " << strerrordesc_np(error)
       << "; if it is a UDP socket it is not kept, and others may not be either: a seccomp filter "
          "of the program must allow both";
  log_line(LogLevel::error, line);
}

}  // namespace

uint64_t inode_of(int fd) {
  const KeepErrno keep;
  struct stat status {};
  return sys::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

bool has_inode(int fd, uint64_t inode) {
  const KeepErrno keep;
  struct stat status {};
  return sys::fstat(fd, &status) == 0 ? status.st_ino == inode : errno != EBADF;
}

bool examine_socket(int fd, uint64_t& inode, uint32_t& flags) {
  const KeepErrno keep;
  struct stat status {};
  int type = 0;
  int family = 0;
  int protocol = 0;
  const auto read = [fd](int name, int& value) {
    socklen_t size = sizeof value;
    return sys::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0;
  };
  bool known = sys::fstat(fd, &status) == 0;
  if (known && !S_ISSOCK(status.st_mode)) return false;
  known = known && read(SO_TYPE, type);
  if (known && type != SOCK_DGRAM) return false;
  if (!known || !read(SO_DOMAIN, family) || !read(SO_PROTOCOL, protocol)) {
    say_unseen(fd, errno);
    return false;
  }
  if (family != AF_INET && family != AF_INET6) return false;
  if (protocol != IPPROTO_UDP && protocol != IPPROTO_UDPLITE) return false;
  inode = status.st_ino;
  flags = (family == AF_INET6 ? kFdIpv6 : 0) | (protocol == IPPROTO_UDPLITE ? kFdUdpLite : 0);
  if ((sys::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0) flags |= wire::kFdCloexec;
  return true;
}

}  // namespace udpcr
