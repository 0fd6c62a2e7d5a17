// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The far end of the link: packets as they are, both ways.
#pragma once

#include <optional>

#include "network.hpp"

namespace fidelity {

struct Packet {
  std::string source, destination;  // both IPv4 or both IPv6
  unsigned source_port = 0, destination_port = 0;
  std::string payload;
  int tos = 0;
  int ttl = 64;
  std::string options;    // IPv4, a multiple of 4 bytes
  std::string extension;  // IPv6 headers, whose first byte the last one's next header is not
  int extension_type = 0;
  std::uint32_t flow_label = 0;
  // In two fragments, the first with this many bytes of IP payload.
  std::size_t fragment = 0;
};
void send_packet(const Packet& packet);
// Returns when `fd` has it.
void send_packet_to(int fd, const Packet& packet);
// An ICMP port unreachable about the datagram `about` that the left end has
// sent, from `from`; with an extension object behind it (RFC 4884).
void send_unreachable(const Packet& about, const std::string& from, bool extended = false);

struct Frame {
  std::string source, destination, payload;
  unsigned source_port = 0, destination_port = 0;
  int tos = 0, ttl = 0;
  std::size_t ip_size = 0;
  bool is_fragment = false;
};
// UDP that has left by the link from or to this port, and its fragments.
std::vector<Frame> frames(unsigned port);

}  // namespace fidelity
