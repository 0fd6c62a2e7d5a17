// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What `udpcr list` shows, and how.
#pragma once

#include <string>
#include <vector>

#include "socket_use.hpp"

namespace udpcr::tool {

struct Listing {
  std::vector<UsedSocket> sockets;
  bool by_module = false;
  std::uint64_t boottime = 0;  // ns of CLOCK_BOOTTIME, when it was made
  std::uint64_t realtime = 0;  // ns of CLOCK_REALTIME, at the same instant
};

std::string list_table(const Listing& listing);
std::string list_json(const Listing& listing);

}  // namespace udpcr::tool
