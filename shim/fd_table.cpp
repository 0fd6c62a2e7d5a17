// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fd_table.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "log.h"
#include "shim.h"

namespace udpcr::fd_table {

namespace {

// Blocks of slots: the first is static, so that ordinary programs map nothing.
constexpr int kSlotsPerBlock = 1024;
constexpr int kBlocks = 1024;  // fs.nr_open is 1,048,576 unless raised

Slot first_block[kSlotsPerBlock];
std::atomic<Slot*> blocks[kBlocks];
std::atomic<int> highest_end;

Slot* find_or_make(int fd) {
  const int number = fd / kSlotsPerBlock;
  if (number >= kBlocks) return nullptr;
  if (number == 0) return &first_block[fd];
  Slot* block = blocks[number].load(std::memory_order_acquire);
  if (block == nullptr) {
    constexpr size_t kSize = sizeof(Slot) * kSlotsPerBlock;
    void* const made =
        mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) return nullptr;
    if (blocks[number].compare_exchange_strong(block, static_cast<Slot*>(made))) {
      block = static_cast<Slot*>(made);
    } else {
      munmap(made, kSize);
    }
  }
  return block + fd % kSlotsPerBlock;
}

void raise_end(int fd) {
  int before = highest_end.load(std::memory_order_relaxed);
  while (before <= fd && !highest_end.compare_exchange_weak(before, fd + 1)) {
  }
}

template <typename Change>
void change_shared(int fd, Change change) {
  Slot* const slot = find(fd);
  if (slot == nullptr) return;
  change(*slot);
  if ((slot->word.load() & kShared) == 0) return;
  const uint64_t inode = slot->inode.load();
  for (int other = 0; other < end(); ++other) {
    Slot* const twin = find(other);
    if (twin != nullptr && (twin->word.load() & kTracked) != 0 && twin->inode.load() == inode) {
      change(*twin);
    }
  }
}

}  // namespace

Slot* find(int fd) {
  const int number = fd / kSlotsPerBlock;
  if (fd < 0 || number >= kBlocks) return nullptr;
  Slot* const block = number == 0 ? first_block : blocks[number].load(std::memory_order_acquire);
  return block == nullptr ? nullptr : block + fd % kSlotsPerBlock;
}

int end() { return highest_end.load(std::memory_order_acquire); }

void track(int fd, uint32_t flags) {
  const KeepErrno keep;
  struct stat status;
  if (fstat(fd, &status) != 0) return;
  Slot* const slot = find_or_make(fd);
  if (slot == nullptr) {
    say(LogLevel::warn,
        "a UDP socket will not be in the image: its fd number is beyond 1,048,575, or there is no "
        "memory to note it");
    return;
  }
  slot->inode.store(status.st_ino);
  slot->word.store(kTracked | flags, std::memory_order_release);
  raise_end(fd);
}

void forget(int fd) {
  Slot* const slot = find(fd);
  if (slot != nullptr) slot->word.store(0, std::memory_order_release);
}

void duplicate(int from, int to, bool cloexec) {
  Slot* const source = find(from);
  const uint32_t flags = source == nullptr ? 0 : source->word.load();
  if ((flags & kTracked) == 0) return forget(to);
  Slot* const target = find_or_make(to);
  if (target == nullptr) return;
  source->word.fetch_or(kShared);
  target->inode.store(source->inode.load());
  target->word.store((flags & ~wire::kFdCloexec) | kShared | (cloexec ? wire::kFdCloexec : 0),
                     std::memory_order_release);
  raise_end(to);
}

void add_flags(int fd, uint32_t flags) {
  change_shared(fd, [flags](Slot& slot) { slot.word.fetch_or(flags); });
}

void set_cloexec(int fd, bool cloexec) {
  Slot* const slot = find(fd);
  if (slot == nullptr || (slot->word.load() & kTracked) == 0) return;
  if (cloexec) {
    slot->word.fetch_or(wire::kFdCloexec);
  } else {
    slot->word.fetch_and(~wire::kFdCloexec);
  }
}

}  // namespace udpcr::fd_table
