// SPDX-License-Identifier: LGPL-2.1-or-later
#include "address_map.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <udpcr/udpcr_netlink.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "image_sample.hpp"

using namespace udpcr;
using test::v4;
using test::v6;

namespace {

Address mapped(const char* map, const Address& local) {
  SocketState state;
  state.record.family = local.family;
  state.record.local = local;
  AddressMap::parse(map).apply(state);
  return state.record.local;
}

template <typename Value>
Bytes bytes_of(const Value& value) {
  Bytes bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

Datagram only_datagram(const MessageStream& queue) {
  std::size_t offset = 0;
  std::vector<std::uint16_t> unknown;
  return decode_datagram(queue.next(offset), unknown);
}

}  // namespace

TEST_CASE("map: addresses, ports, and both", "[map]") {
  CHECK(mapped("192.0.2.1=192.0.2.2", v4("192.0.2.1", 53)) == v4("192.0.2.2", 53));
  CHECK(mapped("192.0.2.1=192.0.2.2", v4("192.0.2.3", 53)) == v4("192.0.2.3", 53));
  CHECK(mapped("53=5353", v4("192.0.2.1", 53)) == v4("192.0.2.1", 5353));
  CHECK(mapped("53=5353,192.0.2.1=192.0.2.2", v4("192.0.2.1", 53)) == v4("192.0.2.2", 5353));
  CHECK(mapped("192.0.2.1:53=192.0.2.2:54", v4("192.0.2.1", 53)) == v4("192.0.2.2", 54));
  CHECK(mapped("192.0.2.1:53=192.0.2.2:54", v4("192.0.2.1", 55)) == v4("192.0.2.1", 55));
  CHECK(mapped("[2001:db8::1]:53=[2001:db8::2]:54", v6("2001:db8::1", 53)) ==
        v6("2001:db8::2", 54));
  CHECK(mapped("fe80::1=fe80::2", v6("fe80::1", 53, 4)) == v6("fe80::2", 53, 4));
  CHECK(mapped("", v4("192.0.2.1", 53)) == v4("192.0.2.1", 53));
}

TEST_CASE("map: the pair with a port goes first, and nothing is mapped twice", "[map]") {
  const char* const map =
      "192.0.2.1=192.0.2.9,53=99,192.0.2.1:53=192.0.2.2:54,54=77,192.0.2.2=192.0.2.5";
  CHECK(mapped(map, v4("192.0.2.1", 53)) == v4("192.0.2.2", 54));
  CHECK(mapped(map, v4("192.0.2.1", 54)) == v4("192.0.2.9", 77));
  CHECK(mapped("53=54,54=53", v4("192.0.2.1", 54)) == v4("192.0.2.1", 53));
}

TEST_CASE("map: a dual-stack socket's IPv4 addresses are IPv4 addresses", "[map]") {
  CHECK(mapped("192.0.2.1=192.0.2.2", v6("::ffff:192.0.2.1", 53)) == v6("::ffff:192.0.2.2", 53));
}

TEST_CASE("map: to and from the wildcard, what was given to bind follows", "[map]") {
  SocketState state;
  state.record.family = AF_INET;
  state.record.local = v4("0.0.0.0", 53);
  state.record.flags = UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_PORT;
  AddressMap::parse("0.0.0.0=192.0.2.1").apply(state);
  CHECK((state.record.flags & UDPCR_SOCK_BOUND_ADDR) != 0);
  AddressMap::parse("192.0.2.1=0.0.0.0").apply(state);
  CHECK((state.record.flags & UDPCR_SOCK_BOUND_ADDR) == 0);
}

TEST_CASE("map: every place where an address or interface stands", "[map]") {
  SocketState state;
  SocketRecord& record = state.record;
  record.family = AF_INET6;
  record.local = v6("::ffff:192.0.2.1", 53);
  record.peer = v6("::ffff:198.51.100.1", 1000);
  record.device = "eth0";
  ip_mreqn outgoing{};
  outgoing.imr_address.s_addr = inet_addr("192.0.2.1");
  outgoing.imr_ifindex = 3;
  in6_pktinfo sticky{};
  inet_pton(AF_INET6, "2001:db8::1", &sticky.ipi6_addr);
  record.options = {{SOL_IP, IP_MULTICAST_IF, bytes_of(outgoing)},
                    {SOL_IP, IP_MULTICAST_IF, bytes_of(outgoing.imr_address)},
                    {SOL_IPV6, IPV6_PKTINFO, bytes_of(sticky)},
                    {SOL_SOCKET, SO_RCVBUF, bytes_of(53)}};
  record.memberships = {
      {v4("232.1.1.1", 0), 3, "eth0", MCAST_INCLUDE, {v4("198.51.100.1", 0)}, false}};
  Datagram datagram;
  datagram.source = v4("192.0.2.1", 53);
  datagram.destination = v4("192.0.2.1", 53);
  datagram.specific_destination = v4("192.0.2.1", 0);
  datagram.payload = {1, 2, 3};
  state.receive_queue.append(encode_datagram(datagram));
  state.send_queue.append(encode_datagram(datagram));

  AddressMap::parse(
      "192.0.2.1:53=192.0.2.2:54,198.51.100.1=198.51.100.2,eth0=ens3,2001:db8::1=2001:db8::2")
      .apply(state);

  CHECK(record.local == v6("::ffff:192.0.2.2", 54));
  CHECK(*record.peer == v6("::ffff:198.51.100.2", 1000));
  CHECK(record.device == "ens3");
  outgoing.imr_address.s_addr = inet_addr("192.0.2.2");
  inet_pton(AF_INET6, "2001:db8::2", &sticky.ipi6_addr);
  CHECK(record.options[0].value == bytes_of(outgoing));
  CHECK(record.options[1].value == bytes_of(outgoing.imr_address));
  CHECK(record.options[2].value == bytes_of(sticky));
  CHECK(record.options[3].value == bytes_of(53));
  CHECK(record.memberships[0].device == "ens3");
  CHECK(record.memberships[0].sources[0] == v4("198.51.100.2", 0));
  for (const MessageStream* queue : {&state.receive_queue, &state.send_queue}) {
    const Datagram now = only_datagram(*queue);
    CHECK(*now.source == v4("192.0.2.1", 53));
    CHECK(*now.destination == v4("192.0.2.2", 54));
    CHECK(*now.specific_destination == v4("192.0.2.2", 0));
    CHECK(now.payload == datagram.payload);
  }
}

TEST_CASE("map: what is not understood is one sentence that names it", "[map]") {
  const auto [text, piece, why] = GENERATE(table<const char*, const char*, const char*>(
      {{"53", "53", "OLD=NEW"},
       {"1=2=3", "1=2=3", "OLD=NEW"},
       {",53=54", "", "OLD=NEW"},
       {"53=54,", "", "comma"},
       {"192.0.2.1=192.0.2.2,53=", "53=", "one side"},
       {"53=eth0", "53=eth0", "one side"},
       {"53=65536", "53=65536", "1 to 65535"},
       {"0=53", "0=53", "1 to 65535"},
       {"192.0.2.1=2001:db8::1", "192.0.2.1=2001:db8::1", "family"},
       {"192.0.2.1:53=192.0.2.2", "192.0.2.1:53=192.0.2.2", "one side"},
       {"192.0.2.1=eth0", "192.0.2.1=eth0", "one side"},
       {"192.0.2.256=192.0.2.1", "192.0.2.256=192.0.2.1", "one side"},
       {"192.0.2.1:0=192.0.2.2:1", "192.0.2.1:0=192.0.2.2:1", "1 to 65535"},
       {"[192.0.2.1]:5=192.0.2.2:5", "[192.0.2.1]:5=192.0.2.2:5", "one side"},
       {"eth0=", "eth0=", "interface"},
       {"eth0=a/b", "eth0=a/b", "a/b"},
       {"eth0=abcdefghijklmnop", "eth0=abcdefghijklmnop", "interface"},
       {"53=54,53=55", "53=55", "second time"},
       {"192.0.2.1=192.0.2.2,192.0.2.1=192.0.2.3", "192.0.2.1=192.0.2.3", "second time"},
       {"::ffff:192.0.2.1=::ffff:192.0.2.2,192.0.2.1=192.0.2.3", "192.0.2.1=192.0.2.3",
        "second time"},
       {"eth0=ens3,eth0=ens4", "eth0=ens4", "second time"}}));
  const std::string map = text;
  const std::string sentence = test::error_of([&] { AddressMap::parse(map); });
  INFO(sentence);
  CHECK(sentence.find("UDPCR_MAP: \"" + std::string(piece) + "\" ") == 0);
  CHECK(sentence.find(why) != std::string::npos);
  CHECK(sentence.find('\n') == std::string::npos);
}
