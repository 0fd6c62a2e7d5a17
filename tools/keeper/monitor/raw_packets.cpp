// SPDX-License-Identifier: LGPL-2.1-or-later
#include "raw_packets.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "socket_facts.hpp"

namespace udpcr::keeper::monitor {

namespace {

constexpr std::uint16_t kFirstPrivate = 1024;
constexpr unsigned kLoopback = 1;  // LOOPBACK_IFINDEX of include/net/flow.h
constexpr std::size_t kUdpHeader = 8;

std::uint16_t number16(ByteView bytes, std::size_t place) {
  return static_cast<std::uint16_t>(bytes[place] << 8U | bytes[place + 1]);
}

std::uint32_t number32(ByteView bytes, std::size_t place) {
  return std::uint32_t{number16(bytes, place)} << 16U | number16(bytes, place + 2);
}

}  // namespace

std::optional<std::uint16_t> private_port_of(int socket) {
  if (!is_udp_socket(socket)) return std::nullopt;
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&name), &size) == 0) return std::nullopt;
  size = sizeof name;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&name), &size) != 0) return std::nullopt;
  const Address local = Address::from_sockaddr(name);
  if (!local.is_wildcard() || local.port < kFirstPrivate) return std::nullopt;
  return local.port;
}

bool RawCheck::is_datagram(ByteView transport, unsigned protocol, bool first, std::uint32_t id) {
  if (protocol != static_cast<unsigned>(protocol_)) return false;
  // The kernel takes no fragment that overlaps another one.
  if (!first) return fragments_of_ == id;
  fragments_of_.reset();
  if (transport.size() < kUdpHeader || number16(transport, 2) != port_) return false;
  fragments_of_ = id;
  return true;
}

bool RawCheck::read_ipv4(ByteView bytes, Address& destination) {
  constexpr std::size_t kHeader = 20;
  if (bytes.size() < kHeader || bytes[0] >> 4U != 4) return false;
  const std::size_t length = std::size_t{4} * (bytes[0] & 0xfU);
  if (length < kHeader || length > bytes.size()) return false;
  const unsigned offset = number16(bytes, 6) & 0x1fffU;
  hops_ = bytes[8];
  destination = {};
  destination.family = AF_INET;
  std::copy_n(bytes.data() + 16, 4, destination.bytes);
  return is_datagram(bytes.subspan(length), bytes[9], offset == 0, number16(bytes, 4));
}

bool RawCheck::read_ipv6(ByteView bytes, Address& destination) {
  constexpr std::size_t kHeader = 40;
  if (bytes.size() < kHeader || bytes[0] >> 4U != 6) return false;
  hops_ = bytes[7];
  destination = {};
  destination.family = AF_INET6;
  std::copy_n(bytes.data() + 24, 16, destination.bytes);
  unsigned next = bytes[6];
  bool first = true;
  std::uint32_t id = 0;
  ByteView rest = bytes.subspan(kHeader);
  while (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT ||
         next == IPPROTO_ROUTING) {
    if (rest.size() < kUdpHeader) return false;
    // One with segments left names other destinations (RFC 8200, 4.4).
    if (next == IPPROTO_ROUTING && rest[3] != 0) return false;
    std::size_t length = kUdpHeader;
    if (next == IPPROTO_FRAGMENT) {
      first = (number16(rest, 2) & 0xfff8U) == 0;
      id = number32(rest, 4);
    } else {
      length += std::size_t{8} * rest[1];
    }
    next = rest[0];
    if (length > rest.size()) return false;
    rest = rest.subspan(length);
    if (!first) break;
  }
  return is_datagram(rest, first ? next : static_cast<unsigned>(protocol_), first, id);
}

// A packet to an address of this machine; one that is sent out by the loopback
// interface; or a multicast that has no hop left: it is looped back alone.
bool RawCheck::stays_here(const RawPacket& packet, const Address& destination) {
  if (packet.interface == kLoopback) return true;
  if (destination.is_multicast()) return hops_ == 0;
  return packet.interface == 0 && routes_.reach(destination) == Reach::local;
}

bool RawCheck::may_pass(const RawPacket& packet, ByteView bytes, Address& destination) {
  const bool sound =
      family_ == AF_INET ? read_ipv4(bytes, destination) : read_ipv6(bytes, destination);
  destination.scope = packet.scope;
  return sound && stays_here(packet, destination);
}

}  // namespace udpcr::keeper::monitor
