// SPDX-License-Identifier: LGPL-2.1-or-later
#include "address_map.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>

namespace udpcr {
namespace {

constexpr std::uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

[[noreturn]] void refuse(std::string_view piece, const std::string& why) {
  throw Error("UDPCR_MAP: \"" + std::string(piece) + "\" " + why);
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char letter) { return letter >= '0' && letter <= '9'; });
}

std::uint16_t parse_port(std::string_view piece, std::string_view text) {
  unsigned port = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), port);
  if (end.ec != std::errc{} || port == 0 || port > 65535) {
    refuse(piece, "names port " + std::string(text) + ": ports are 1 to 65535");
  }
  return static_cast<std::uint16_t>(port);
}

std::optional<Address> parse_host(std::string_view text) {
  const std::string host(text);
  Address address;
  if (::inet_pton(AF_INET, host.c_str(), address.bytes) == 1) {
    address.family = AF_INET;
  } else if (::inet_pton(AF_INET6, host.c_str(), address.bytes) == 1) {
    address.family = AF_INET6;
  } else {
    return std::nullopt;
  }
  return address;
}

// "192.0.2.1", "2001:db8::1", "192.0.2.1:53", "[2001:db8::1]:53"; empty when
// it is none of these.
std::optional<Address> parse_address(std::string_view piece, std::string_view text) {
  if (auto host = parse_host(text)) return host;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  std::optional<Address> address = parse_host(host);
  if (!address || (address->family == AF_INET6) != bracketed || !is_number(port)) {
    return std::nullopt;
  }
  address->port = parse_port(piece, port);
  return address;
}

bool is_interface_name(std::string_view text) {
  return !text.empty() && text.size() < IF_NAMESIZE && text != "." && text != ".." &&
         text.find_first_of("/: \t\n[]") == std::string_view::npos;
}

// IPv4 as IPv4-mapped IPv6, as dual-stack sockets have it.
Address widened(const Address& address) {
  if (address.family != AF_INET) return address;
  Address wide;
  wide.family = AF_INET6;
  wide.port = address.port;
  std::memcpy(wide.bytes, kMappedPrefix, sizeof kMappedPrefix);
  std::memcpy(wide.bytes + sizeof kMappedPrefix, address.bytes, 4);
  return wide;
}

bool same_host(const Address& one, const Address& other) {
  return std::memcmp(one.bytes, other.bytes, sizeof one.bytes) == 0;
}

void set_host(Address& address, const Address& wide) {
  if (address.family == AF_INET) {
    std::memcpy(address.bytes, wide.bytes + sizeof kMappedPrefix, 4);
  } else {
    std::memcpy(address.bytes, wide.bytes, sizeof address.bytes);
  }
}

}  // namespace

AddressMap AddressMap::parse(std::string_view text) {
  AddressMap map;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    map.add(text.substr(0, comma));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) refuse("", "stands behind the last comma; remove the comma");
  }
  return map;
}

void AddressMap::add(std::string_view piece) {
  const std::size_t equals = piece.find('=');
  if (equals == std::string_view::npos || piece.find('=', equals + 1) != std::string_view::npos) {
    refuse(piece, "is not OLD=NEW; pairs stand behind commas, as in 192.0.2.1=192.0.2.2,53=5353");
  }
  const std::string_view from = piece.substr(0, equals);
  const std::string_view to = piece.substr(equals + 1);
  if (!add_ports(piece, from, to) && !add_addresses(piece, from, to)) {
    add_interfaces(piece, from, to);
  }
}

bool AddressMap::add_ports(std::string_view piece, std::string_view from, std::string_view to) {
  if (!is_number(from) && !is_number(to)) return false;
  if (!is_number(from) || !is_number(to)) {
    refuse(piece, "has a port on one side only; map a port to a port, or ADDRESS:PORT to one");
  }
  const PortPair pair{parse_port(piece, from), parse_port(piece, to)};
  for (const PortPair& other : ports_) {
    if (other.from == pair.from)
      refuse(piece, "names port " + std::string(from) + " a second time");
  }
  ports_.push_back(pair);
  return true;
}

bool AddressMap::add_addresses(std::string_view piece, std::string_view from, std::string_view to) {
  const std::optional<Address> before = parse_address(piece, from);
  const std::optional<Address> after = parse_address(piece, to);
  if (!before && !after) return false;
  if (!before || !after) {
    refuse(piece, "has an address on one side only; IPv6 with a port is [ADDRESS]:PORT");
  }
  if (before->family != after->family) {
    refuse(piece, "maps IPv4 to IPv6 or back; a socket keeps its family");
  }
  if ((before->port == 0) != (after->port == 0)) {
    refuse(piece, "has a port on one side only; give both sides one, or neither");
  }
  const AddressPair pair{widened(*before), widened(*after)};
  for (const AddressPair& other : addresses_) {
    if (other.from == pair.from) {
      refuse(piece, "names address " + std::string(from) + " a second time");
    }
  }
  addresses_.insert(pair.from.port != 0 ? addresses_.begin() : addresses_.end(), pair);
  return true;
}

void AddressMap::add_interfaces(std::string_view piece, std::string_view from,
                                std::string_view to) {
  for (const std::string_view side : {from, to}) {
    if (is_interface_name(side)) continue;
    refuse(piece, "has \"" + std::string(side) +
                      "\", which is no address, no port, no ADDRESS:PORT (IPv6: [ADDRESS]:PORT) "
                      "and no interface name");
  }
  for (const InterfacePair& other : interfaces_) {
    if (other.from == from) {
      refuse(piece, "names interface " + std::string(from) + " a second time");
    }
  }
  interfaces_.push_back({std::string(from), std::string(to)});
}

bool AddressMap::map(Address& address) const {
  if (address.family != AF_INET && address.family != AF_INET6) return false;
  const Address wide = widened(address);
  const Address before = address;
  bool by_itself = true;
  for (const AddressPair& pair : addresses_) {
    if (!same_host(pair.from, wide)) continue;
    if (pair.from.port != 0 && pair.from.port != address.port) continue;
    set_host(address, pair.to);
    if (pair.to.port != 0) address.port = pair.to.port;
    by_itself = pair.to.port == 0;
    break;
  }
  for (const PortPair& pair : ports_) {
    if (!by_itself || address.port != pair.from) continue;
    address.port = pair.to;
    break;
  }
  return !(address == before);
}

bool AddressMap::map_host(Address& address, std::uint16_t port) const {
  Address whole = address;
  whole.port = port;
  map(whole);
  whole.port = address.port;
  const bool changed = !(whole == address);
  address = whole;
  return changed;
}

bool AddressMap::map_bytes(Bytes& value, std::size_t offset, std::uint16_t family,
                           std::uint16_t port) const {
  const std::size_t size = family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
  if (value.size() < offset + size) return false;
  Address address;
  address.family = family;
  std::memcpy(address.bytes, value.data() + offset, size);
  const bool changed = map_host(address, port);
  std::memcpy(value.data() + offset, address.bytes, size);
  return changed;
}

void AddressMap::map(std::string& interface) const {
  for (const InterfacePair& pair : interfaces_) {
    if (pair.from != interface) continue;
    interface = pair.to;
    return;
  }
}

void AddressMap::map(SocketRecord& record) const {
  const std::uint16_t port = record.local.port;
  const bool was_wildcard = record.local.is_wildcard();
  map(record.local);
  // A bind to the wildcard gives no address.
  if (was_wildcard != record.local.is_wildcard() && (record.flags & UDPCR_SOCK_BOUND) != 0) {
    record.flags ^= UDPCR_SOCK_BOUND_ADDR;
  }
  if (record.peer) map(*record.peer);
  map(record.device);
  for (Interface& interface : record.interfaces) map(interface.name);
  for (SocketOption& option : record.options) {
    if (option.level == SOL_IP && option.name == IP_MULTICAST_IF) {
      // struct in_addr, or struct ip_mreqn.
      const bool short_form = option.value.size() < sizeof(ip_mreqn);
      map_bytes(option.value, short_form ? 0 : offsetof(ip_mreqn, imr_address), AF_INET, port);
    } else if (option.level == SOL_IPV6 && option.name == IPV6_PKTINFO) {
      map_bytes(option.value, offsetof(in6_pktinfo, ipi6_addr), AF_INET6, port);
    }
  }
  for (Membership& membership : record.memberships) {
    map_host(membership.group, port);
    map(membership.device);
    for (Address& source : membership.sources) map_host(source, 0);
  }
}

bool AddressMap::map(Datagram& datagram, std::uint16_t port) const {
  bool changed = datagram.destination && map(*datagram.destination);
  if (datagram.specific_destination) {
    changed = map_host(*datagram.specific_destination, port) || changed;
  }
  return changed;
}

MessageStream AddressMap::map(const MessageStream& queue, std::uint16_t port) const {
  MessageStream mapped;
  std::size_t offset = 0;
  for (ByteView message = queue.next(offset); !message.empty(); message = queue.next(offset)) {
    std::vector<std::uint16_t> unknown;
    Datagram datagram = decode_datagram(message, unknown);
    if (map(datagram, port)) {
      mapped.append(encode_datagram(datagram));
    } else {
      mapped.append(message);
    }
  }
  return mapped;
}

void AddressMap::apply(SocketState& state) const {
  const std::uint16_t port = state.record.local.port;
  map(state.record);
  if (addresses_.empty() && ports_.empty()) return;
  state.receive_queue = map(state.receive_queue, port);
  state.send_queue = map(state.send_queue, port);
}

}  // namespace udpcr
