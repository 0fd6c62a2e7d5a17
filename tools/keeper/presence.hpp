// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How a start finds the keepers of earlier runs that still have sockets of theirs.
//
// A program may be killed while its keeper reads its sockets, or before the keeper
// has so much as seen that it was sent some; a start at that moment would find its
// ports taken.  So every keeper listens at an abstract name of its image, and tells
// whoever connects whether it is about to close what it has.  Its
// worker has a name of its own, where nobody answers: it tells of a worker whose
// keeper was killed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <udpcr/udpcr.hpp>

#include "wire.h"

namespace udpcr::keeper {

class Presence {
 public:
  // `image`: as in ParkKey.  Without a free name nobody waits for us.
  void listen(std::uint64_t image);
  // In a forked copy of the keeper.
  void become_worker();
  // For the monitor, which may have sockets of the program open when the keeper has been
  // killed.  Whoever listens last is told to those who connect.
  [[nodiscard]] UniqueFd monitor_name() const;
  // -1: none.
  [[nodiscard]] int source() const noexcept { return listener_.get(); }
  // Tells one that has connected.
  void answer(bool ending) const;

  enum class Others : std::uint8_t {
    none,    // that are about to close anything
    ending,  // at least one says so, or its worker or monitor is there alone
    silent,  // at least one does not say
  };
  // Of the same image and our own user; takes up to 50 ms.  `on_asked`
  // answers for us meanwhile: two that wait for each other would both be silent.
  template <typename Answer>
  [[nodiscard]] Others others(Answer on_asked) {
    return look(&on_asked, [](const void* answer) { (*static_cast<const Answer*>(answer))(); });
  }

  // The last one that was not `none`; 0: it was a worker.
  [[nodiscard]] pid_t other() const noexcept { return other_; }

 private:
  Others look(const void* context, void (*on_asked)(const void*));

  UniqueFd listener_;
  std::uint64_t image_ = 0;
  pid_t other_ = 0;
};

}  // namespace udpcr::keeper
