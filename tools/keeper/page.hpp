// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The page that the keeper shares with every process of the tree
// (wire::SharedPage).  The keeper writes to it; what it reads is how many threads
// say that they wait, and whether they still do, which can harm nobody but them.
#pragma once

#include <udpcr/udpcr.hpp>

#include "wire.h"

namespace udpcr::keeper {

class Page {
 public:
  // Throws Error unless `fd` is a memfd of the right size that cannot shrink
  // under us.
  explicit Page(const UniqueFd& fd);
  ~Page();
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  [[nodiscard]] std::uint32_t epoch() const noexcept;
  // Threads that wait in this epoch.
  [[nodiscard]] std::uint32_t parked() const noexcept;
  // A checkpoint is made in the epoch of now.
  void begin() noexcept;
  // The epoch of begin() has ended: by release(), or the program waits no longer.
  [[nodiscard]] bool has_moved() const noexcept;
  void freeze() noexcept;
  // Handlers look for sockets at every fd below, also those that wait already.
  void scan_to(std::uint32_t fd) noexcept;
  // Sockets are parked, so that a close must be told.
  void set_parking() noexcept;
  // From freeze() until release().
  [[nodiscard]] bool is_frozen() const noexcept;
  // Ends the epoch of begin() and wakes all who wait for it.  False: it had ended,
  // with another verdict.
  bool release(wire::Verdict verdict) noexcept;

  // The program waits for this keeper no more and asks it nothing.
  [[nodiscard]] bool is_given_up() const noexcept;
  // A sign of life, for who waits.
  void show_life() noexcept;

 private:
  wire::SharedPage* page_;
  std::uint32_t epoch_ = 0;  // of begin()
};

}  // namespace udpcr::keeper
