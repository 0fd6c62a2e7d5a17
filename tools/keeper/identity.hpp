// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who the program is, as it said in its first hello, before its own code ran.
#pragma once

#include <string>
#include <udpcr/image.hpp>
#include <vector>

#include "packet.hpp"

namespace udpcr::keeper {

// A UDP socket that the program was handed down, and that lives.
struct LiveSocket {
  std::int32_t number = -1;
  std::uint64_t cookie = 0;
  std::string name;  // of LISTEN_FDNAMES, or empty
};

// Of socket activation (sd_listen_fds(3)).
constexpr int kFirstListenFd = 3;

struct Identity {
  std::string executable;
  std::vector<std::string> arguments;
  std::uint64_t arguments_hash = 0;  // of all of them; the list may be cut
  bool arguments_cut = false;

  std::vector<LiveSocket> live;
  std::uint32_t listen_count = 0;  // LISTEN_FDS
  std::uint32_t listen_room = 0;   // free fd numbers behind those
  bool waits = true;               // for what is restored

  static Identity from_hello(const Packet& packet);
  [[nodiscard]] bool has_alive(std::uint64_t cookie) const;
};

// Whether a program may take an image; otherwise the reason, for the log.
bool may_take(const Identity& program, const Image& image, Match match, std::string& reason);

}  // namespace udpcr::keeper
