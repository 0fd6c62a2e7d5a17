// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The page that the keeper shares with every process of the tree
// (wire::SharedPage).  The keeper writes to it; the only thing it reads is how
// many threads say that they wait, which can harm nobody but them.
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
  void freeze() noexcept;
  // Handlers look for sockets at every fd below, also those that wait already.
  void scan_to(std::uint32_t fd) noexcept;
  // Sockets are parked, so that a close must be told.
  void set_parking() noexcept;
  // From freeze() until release().
  [[nodiscard]] bool is_frozen() const noexcept;
  // Ends the epoch and wakes all who wait for it.
  void release(wire::Verdict verdict) noexcept;

 private:
  wire::SharedPage* page_;
};

}  // namespace udpcr::keeper
