// SPDX-License-Identifier: LGPL-2.1-or-later
//
// UDPCR_MAP: addresses, ports and interfaces that are others now than when the
// image was written.
//
//   OLD=NEW,...   each pair of one kind:
//     address=address            192.0.2.1=198.51.100.1   2001:db8::1=2001:db8::2
//     port=port                  53=5353
//     address:port=address:port  192.0.2.1:53=192.0.2.2:5353   [::1]:53=[::2]:53
//     interface=interface        eth0=ens3
//
// A pair with a port goes before the others; then address and port are mapped
// each by itself.  Every address of the socket is looked up once: what one pair
// gives is not mapped by another.
#pragma once

#include <string>
#include <string_view>
#include <udpcr/udpcr.hpp>
#include <vector>

namespace udpcr {

class AddressMap {
 public:
  // Throws Error that names the first piece that is not understood, or that
  // names again what another one has named.
  static AddressMap parse(std::string_view text);

  [[nodiscard]] bool empty() const noexcept {
    return addresses_.empty() && ports_.empty() && interfaces_.empty();
  }
  void apply(SocketState& state) const;

 private:
  struct AddressPair {
    Address from;  // IPv4 as IPv4-mapped IPv6; port 0: any
    Address to;
  };
  struct PortPair {
    std::uint16_t from;
    std::uint16_t to;
  };
  struct InterfacePair {
    std::string from;
    std::string to;
  };

  void add(std::string_view piece);
  bool add_ports(std::string_view piece, std::string_view from, std::string_view to);
  bool add_addresses(std::string_view piece, std::string_view from, std::string_view to);
  void add_interfaces(std::string_view piece, std::string_view from, std::string_view to);

  // True: it is another now.
  bool map(Address& address) const;
  // An address that stands without a port, where the socket has `port`.
  bool map_host(Address& address, std::uint16_t port) const;
  bool map_bytes(Bytes& value, std::size_t offset, std::uint16_t family, std::uint16_t port) const;
  bool map(Datagram& datagram, std::uint16_t port) const;
  void map(std::string& interface) const;
  void map(SocketRecord& record) const;
  [[nodiscard]] MessageStream map(const MessageStream& queue, std::uint16_t port) const;

  std::vector<AddressPair> addresses_;  // those with a port first
  std::vector<PortPair> ports_;
  std::vector<InterfacePair> interfaces_;
};

}  // namespace udpcr
