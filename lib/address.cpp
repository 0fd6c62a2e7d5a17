// SPDX-License-Identifier: LGPL-2.1-or-later
#include <arpa/inet.h>

#include <cstring>
#include <udpcr/udpcr.hpp>

namespace udpcr {

bool Address::is_wildcard() const noexcept {
  static constexpr std::uint8_t kZero[16] = {};
  return std::memcmp(bytes, kZero, family == AF_INET ? 4 : 16) == 0;
}

bool Address::is_multicast() const noexcept {
  return family == AF_INET ? (bytes[0] & 0xf0) == 0xe0 : bytes[0] == 0xff;
}

sockaddr_storage Address::to_sockaddr(socklen_t& length) const noexcept {
  sockaddr_storage storage{};
  if (family == AF_INET) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes, 4);
    std::memcpy(&storage, &v4, sizeof v4);
    length = sizeof v4;
  } else if (family == AF_INET6) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    v6.sin6_scope_id = scope;
    std::memcpy(&v6.sin6_addr, bytes, 16);
    std::memcpy(&storage, &v6, sizeof v6);
    length = sizeof v6;
  } else {
    length = sizeof(sa_family_t);
  }
  return storage;
}

Address Address::from_sockaddr(const sockaddr_storage& storage) noexcept {
  Address address;
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    address.family = AF_INET;
    address.port = ntohs(v4.sin_port);
    std::memcpy(address.bytes, &v4.sin_addr, 4);
  } else if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &storage, sizeof v6);
    address.family = AF_INET6;
    address.port = ntohs(v6.sin6_port);
    address.scope = v6.sin6_scope_id;
    std::memcpy(address.bytes, &v6.sin6_addr, 16);
  }
  return address;
}

std::string to_string(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.family == AF_INET) {
    inet_ntop(AF_INET, address.bytes, text, sizeof text);
    return std::string(text) + ":" + std::to_string(address.port);
  }
  if (address.family != AF_INET6) return "(no address)";
  inet_ntop(AF_INET6, address.bytes, text, sizeof text);
  std::string scope = address.scope == 0 ? "" : "%" + std::to_string(address.scope);
  return "[" + std::string(text) + scope + "]:" + std::to_string(address.port);
}

}  // namespace udpcr
