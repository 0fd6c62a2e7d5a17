// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Addresses as the program gives them to bind and connect.
#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

namespace udpcr::adopt {

// An address that the program gives to bind or connect.
struct Endpoint {
  uint16_t family = AF_UNSPEC;
  uint16_t port = 0;  // host order
  uint32_t scope = 0;
  uint8_t bytes[16] = {};

  Endpoint(const sockaddr* address, socklen_t size) {
    if (address == nullptr || size < sizeof address->sa_family) return;
    if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
      const auto* const v4 = reinterpret_cast<const sockaddr_in*>(address);
      family = AF_INET;
      port = ntohs(v4->sin_port);
      memcpy(bytes, &v4->sin_addr, sizeof v4->sin_addr);
    } else if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
      const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(address);
      family = AF_INET6;
      port = ntohs(v6->sin6_port);
      scope = v6->sin6_scope_id;
      memcpy(bytes, &v6->sin6_addr, sizeof v6->sin6_addr);
    }
  }

  [[nodiscard]] bool is_wildcard() const {
    for (const uint8_t byte : bytes) {
      if (byte != 0) return false;
    }
    return true;
  }

  // bind(2) takes AF_UNSPEC for the IPv4 wildcard (net/ipv4/af_inet.c,
  // __inet_bind, Linux 6.1).
  static Endpoint to_bind(const sockaddr* address, socklen_t size, bool ipv6) {
    sockaddr_in wildcard{};
    if (ipv6 || address == nullptr || size < sizeof wildcard) return {address, size};
    memcpy(&wildcard, address, sizeof wildcard);
    if (wildcard.sin_family != AF_UNSPEC || wildcard.sin_addr.s_addr != 0) return {address, size};
    wildcard.sin_family = AF_INET;
    return {reinterpret_cast<const sockaddr*>(&wildcard), sizeof wildcard};
  }

  // Connecting to the wildcard is connecting to loopback (net/ipv4/route.c,
  // net/ipv6/datagram.c, Linux 6.1).
  void name_loopback() {
    if (!is_wildcard()) return;
    if (family == AF_INET) {
      const uint32_t loopback = htonl(INADDR_LOOPBACK);
      memcpy(bytes, &loopback, sizeof loopback);
    } else {
      bytes[15] = 1;
    }
  }
};

inline bool is_same_place(const Endpoint& wanted, const uint8_t (&bytes)[16], uint32_t scope) {
  return memcmp(wanted.bytes, bytes, sizeof bytes) == 0 &&
         (wanted.scope == scope || wanted.scope == 0 || scope == 0);
}

}  // namespace udpcr::adopt
