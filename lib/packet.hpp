// SPDX-License-Identifier: LGPL-2.1-or-later
//
// IP packets made by hand, for raw sockets that take the IP header with the
// data (IP_HDRINCL, IPV6_HDRINCL).
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// Marks by which a socket filter knows our packets.
struct PacketMark {
  std::uint16_t ipv4_id = 0;     // not 0: the kernel would choose
  std::uint32_t flow_label = 0;  // 20 bits
};

struct PacketPlan {
  Address source;  // of one family with destination
  Address destination;
  std::uint8_t protocol = IPPROTO_UDP;
  std::uint8_t tos = 0;
  std::uint8_t ttl = 64;
  unsigned mtu = 65536;  // of the interface it leaves by
  PacketMark mark;
  // IPv4: options of the header, in fours; IPv6: extension headers that end with
  // the one before UDP, and the number of the first.  Not for what must be
  // fragmented.
  Bytes options;
  std::uint8_t next_header = 0;
};

// Makes the options such that they arrive as they are now.  False: that cannot
// be, and they are left out.
bool fit_options(PacketPlan& plan, std::size_t payload);

// The packets of one datagram: more than one when it must be fragmented.
std::vector<Bytes> make_packets(const PacketPlan& plan, ByteView payload);

}  // namespace udpcr
