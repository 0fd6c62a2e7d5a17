// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Parked sockets, as the commands ask for them.
#pragma once

#include <string>
#include <vector>

#include "keeper/park/parked_sockets.hpp"

namespace udpcr {

// False: not a decimal number above 0.
bool parse_inode(const char* text, std::uint64_t& inode);

struct NamedParks {
  std::vector<keeper::ParkedSocket> found;  // in the order of the inodes
  std::vector<std::string> problems;        // one for each that is not parked
};

// All that this user may see.  Warns on stderr of holders that do not answer.
std::vector<keeper::ParkedSocket> parked_here();

NamedParks find_parked(const std::vector<std::uint64_t>& inodes);

}  // namespace udpcr
