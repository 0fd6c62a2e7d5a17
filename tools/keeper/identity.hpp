// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who the program is, as it said in its first hello, before its own code ran.
#pragma once

#include <string>
#include <udpcr/image.hpp>
#include <vector>

#include "packet.hpp"

namespace udpcr::keeper {

struct Identity {
  std::string executable;
  std::vector<std::string> arguments;
  std::uint64_t arguments_hash = 0;  // of all of them; the list may be cut
  bool arguments_cut = false;

  static Identity from_hello(const Packet& packet);
};

// Whether a program may take an image; otherwise the reason, for the log.
bool may_take(const Identity& program, const Image& image, Match match, std::string& reason);

}  // namespace udpcr::keeper
