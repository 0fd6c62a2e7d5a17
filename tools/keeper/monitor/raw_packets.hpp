// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Whether packets with any source may be sent: only to a socket that is being
// filled, and only on this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <udpcr/udpcr.hpp>

#include "operations.hpp"
#include "route.hpp"

namespace udpcr::keeper::monitor {

// The port of a socket that is being filled: UDP or UDP-Lite, bound to no address and
// to no port below 1024, not connected.  Empty: it is none.
std::optional<std::uint16_t> private_port_of(int socket);

class RawCheck {
 public:
  // Of what is sent to one socket, in one or in several requests.
  RawCheck(int family, int protocol, std::uint16_t port)
      : family_(family), protocol_(protocol), port_(port) {}

  [[nodiscard]] bool is_for(int family, int protocol, std::uint16_t port) const {
    return family == family_ && protocol == protocol_ && port == port_;
  }
  // Whether the packet, IP header included, is a datagram to that port, or the next
  // fragment of the one before.  Throws Error.
  bool may_pass(const RawPacket& packet, ByteView bytes, Address& destination);

 private:
  bool read_ipv4(ByteView bytes, Address& destination);
  bool read_ipv6(ByteView bytes, Address& destination);
  bool is_datagram(ByteView transport, unsigned protocol, bool first, std::uint32_t id);
  bool stays_here(const RawPacket& packet, const Address& destination);

  int family_;
  int protocol_;
  std::uint16_t port_;
  unsigned hops_ = 0;
  std::optional<std::uint32_t> fragments_of_;  // the identification of a datagram that passed
  Routes routes_;                              // of the namespace where it is used first
};

}  // namespace udpcr::keeper::monitor
