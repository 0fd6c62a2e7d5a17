// SPDX-License-Identifier: LGPL-2.1-or-later
#include "page.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <atomic>
#include <climits>

#include "alive.hpp"

namespace udpcr::keeper {

namespace {

std::uint32_t load(const std::uint32_t& word) noexcept {
  return std::atomic_ref(const_cast<std::uint32_t&>(word)).load();
}

}  // namespace

Page::Page(const UniqueFd& fd) {
  struct stat status {};
  if (fstat(fd.get(), &status) != 0 || status.st_size != wire::kPageSize ||
      (fcntl(fd.get(), F_GET_SEALS) & F_SEAL_SHRINK) == 0) {
    throw Error("the shared page is not a sealed memfd of " + std::to_string(wire::kPageSize) +
                " bytes: program and keeper differ in version");
  }
  void* const map = mmap(nullptr, wire::kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (map == MAP_FAILED) throw Error("the shared page cannot be mapped", errno);
  page_ = static_cast<wire::SharedPage*>(map);
  if (wire::soundness_of(page_->header, wire::kPageSize) != wire::Soundness::sound) {
    munmap(map, wire::kPageSize);
    throw Error(
        "the shared page is not of this version: install shim and tool from the same release");
  }
  page_->keeper_pid = getpid();
  begin();
  show_life_to(Viewer::program, &page_->progress);
  show_life();
}

Page::~Page() {
  show_life_to(Viewer::program, nullptr);
  munmap(page_, wire::kPageSize);
}

std::uint32_t Page::epoch() const noexcept { return load(page_->epoch); }

std::uint32_t Page::parked() const noexcept {
  return load(page_->parked[wire::parked_index(epoch())]);
}

void Page::begin() noexcept { epoch_ = epoch(); }

bool Page::has_moved() const noexcept { return epoch() != epoch_; }

void Page::freeze() noexcept { std::atomic_ref(page_->state).store(wire::PageState::freezing); }

void Page::scan_to(std::uint32_t fd) noexcept {
  std::atomic_ref(page_->scan_to).store(fd);
  syscall(SYS_futex, &page_->epoch, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void Page::set_parking() noexcept { std::atomic_ref(page_->parking).store(1); }

bool Page::is_frozen() const noexcept {
  return std::atomic_ref(page_->state).load() == wire::PageState::freezing;
}

bool Page::release(wire::Verdict verdict) noexcept {
  // Before the end: who sees that would else take part in a checkpoint that is none.
  if (!has_moved()) std::atomic_ref(page_->state).store(wire::PageState::idle);
  std::uint32_t expected = epoch_;
  const bool ended = std::atomic_ref(page_->epoch)
                         .compare_exchange_strong(expected, wire::epoch_after(epoch_, verdict));
  if (ended) syscall(SYS_futex, &page_->epoch, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  return ended;
}

bool Page::is_given_up() const noexcept { return load(page_->given_up) != 0; }

void Page::show_life() noexcept { keeper::show_life(page_->progress); }

}  // namespace udpcr::keeper
