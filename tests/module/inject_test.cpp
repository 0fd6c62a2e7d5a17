// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Datagrams made by hand: each attribute shows where a program sees it.
#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <ctime>

#include "kernel_numbers.hpp"
#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

Bytes ip_bytes(const Address& one) {
  return Bytes(one.bytes, one.bytes + (one.family == AF_INET ? 4 : 16));
}

// Stages what `fill` makes on `fd` and gives what a program then sees.
Received through(int fd, const Request& datagram) {
  ask_for_all(fd);
  Talk talk;
  talk.stage(fd, 1);
  Request whole(UDPCR_CMD_DATAGRAM);
  whole.u32(UDPCR_A_HANDLE, 1).copy(Attrs::parse(datagram.payload()));
  talk.must(whole);
  talk.put(1, UDPCR_POSITION_FRONT);
  Received seen;
  if (!receive(fd, seen)) throw std::runtime_error("nothing came");
  if (charged(fd) != 0) throw std::runtime_error("a charge stayed");
  return seen;
}

Request datagram(const std::string& source, const std::string& destination,
                 const std::string& payload) {
  Request request(UDPCR_CMD_DATAGRAM);
  request.bytes(UDPCR_A_SRC_ADDR, ip_bytes(address(source))).port(UDPCR_A_SRC_PORT, 1234);
  request.bytes(UDPCR_A_DST_ADDR, ip_bytes(address(destination))).port(UDPCR_A_DST_PORT, 4321);
  return request.bytes(UDPCR_A_PAYLOAD, bytes(payload));
}

}  // namespace

TEST_CASE("inject: IPv4, everything", "[smoke]") {
  const UniqueFd fd = socket_at(address("0.0.0.0"));
  Request request = datagram("198.51.100.7", "10.9.0.1", "hello");
  const std::uint64_t time = 1'600'000'000'123'456'789;
  request.u32(UDPCR_A_IFINDEX, index_of("left"))
      .u64(UDPCR_A_TSTAMP, time)
      .u8(UDPCR_A_TOS, 0xb8)
      .u8(UDPCR_A_TTL, 77)
      .u32(UDPCR_A_MARK, 0x55aa)
      .bytes(UDPCR_A_SPEC_DST, ip_bytes(address("10.9.0.99")));
  const Received seen = through(fd.get(), request);
  CHECK(seen.source == address("198.51.100.7", 1234));
  CHECK(seen.payload == "hello");
  CHECK(seen.number("IP_TTL") == 77);
  CHECK(seen.number("IP_TOS") == 0xb8);
  CHECK(seen.number("SO_MARK") == 0x55aa);
  in_pktinfo info{};
  std::memcpy(&info, seen.ancillary.at("IP_PKTINFO").data(), sizeof info);
  CHECK(info.ipi_ifindex == static_cast<int>(index_of("left")));
  CHECK(std::memcmp(&info.ipi_addr, address("10.9.0.1").bytes, 4) == 0);
  CHECK(std::memcmp(&info.ipi_spec_dst, address("10.9.0.99").bytes, 4) == 0);
  sockaddr_storage to{};
  std::memcpy(&to, seen.ancillary.at("IP_ORIGDSTADDR").data(), sizeof(sockaddr_in));
  CHECK(Address::from_sockaddr(to) == address("10.9.0.1", 4321));
  timespec stamp{};
  std::memcpy(&stamp, seen.ancillary.at("SO_TIMESTAMPNS").data(), sizeof stamp);
  CHECK(static_cast<std::uint64_t>(stamp.tv_sec) * 1000000000U +
            static_cast<std::uint64_t>(stamp.tv_nsec) ==
        time);
}

TEST_CASE("inject: IPv6, everything", "[smoke]") {
  const UniqueFd fd = socket_at(address("::"));
  Request request = datagram("fe80::1234", "fd00:9::1", "hello");
  request.u32(UDPCR_A_IFINDEX, index_of("left"))
      .u32(UDPCR_A_SRC_SCOPE, index_of("left"))
      .u64(UDPCR_A_TSTAMP, 1'600'000'000'000'000'001)
      .u8(UDPCR_A_TOS, 0x2e)
      .u8(UDPCR_A_TTL, 78)
      .u32(UDPCR_A_MARK, 7);
  const Received seen = through(fd.get(), request);
  Address source = address("fe80::1234", 1234);
  source.scope = index_of("left");
  CHECK(seen.source == source);
  CHECK(seen.number("IPV6_HOPLIMIT") == 78);
  CHECK(seen.number("IPV6_TCLASS") == 0x2e);
  CHECK(seen.number("SO_MARK") == 7);
  in6_pktinfo info{};
  std::memcpy(&info, seen.ancillary.at("IPV6_PKTINFO").data(), sizeof info);
  CHECK(info.ipi6_ifindex == index_of("left"));
  CHECK(std::memcmp(&info.ipi6_addr, address("fd00:9::1").bytes, 16) == 0);
  sockaddr_storage to{};
  std::memcpy(&to, seen.ancillary.at("IPV6_ORIGDSTADDR").data(), sizeof(sockaddr_in6));
  CHECK(Address::from_sockaddr(to) == address("fd00:9::1", 4321));
}

TEST_CASE("inject: an IPv4 datagram on an IPv6 socket", "[smoke]") {
  const UniqueFd fd = socket_at(address("::"));
  const Received seen =
      through(fd.get(), datagram("198.51.100.7", "10.9.0.1", "mapped").u8(UDPCR_A_TTL, 5));
  CHECK(seen.source == address("::ffff:198.51.100.7", 1234));
  CHECK(seen.number("IP_TTL") == 5);
}

TEST_CASE("inject: a payload alone is enough") {
  const UniqueFd fd = socket_at(address(GENERATE("127.0.0.1", "::1")));
  const Received seen =
      through(fd.get(), Request(UDPCR_CMD_DATAGRAM).bytes(UDPCR_A_PAYLOAD, bytes("bare")));
  CHECK(seen.payload == "bare");
  CHECK(seen.source.port == 0);
}

TEST_CASE("inject: every size, segmented or not", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd fd = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20);
  for (const std::size_t size :
       {0U, 1U, 100U, 1472U, 3000U, 4096U, 9000U, 32768U, 65507U, 65527U}) {
    if (!v6 && size > 65507) continue;
    std::string payload(size, '\0');
    for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<char>(i * 13 + size);
    INFO(size);
    const auto made =
        datagram(v6 ? "2001:db8::9" : "198.51.100.7", v6 ? "::1" : "127.0.0.1", payload);
    const Received seen = through(fd.get(), made);
    CHECK((seen.payload == payload));
    CHECK((seen.flags & MSG_TRUNC) == 0);
    CHECK(seen.ancillary.count("UDP_GRO") == 0);
    if (size > 1200) {
      const Received together = through(fd.get(), Request(made).u16(UDPCR_A_GSO_SIZE, 1200));
      CHECK((together.payload == payload));
      CHECK(together.number("UDP_GRO") == 1200);
    }
  }
}

TEST_CASE("inject: values at their limits") {
  const UniqueFd fd = socket_at(address("0.0.0.0"));
  const auto bare = [] { return Request(UDPCR_CMD_DATAGRAM).bytes(UDPCR_A_PAYLOAD, bytes("x")); };
  CHECK(through(fd.get(), bare().u8(UDPCR_A_TTL, 255)).number("IP_TTL") == 255);
  CHECK(through(fd.get(), bare().u8(UDPCR_A_TTL, 1)).number("IP_TTL") == 1);
  CHECK(through(fd.get(), bare().u8(UDPCR_A_TOS, 255)).number("IP_TOS") == 255);
  CHECK(through(fd.get(), bare().u32(UDPCR_A_MARK, 0xffffffff)).number("SO_MARK") == -1);
  // A segment size that is not smaller than the payload, or is 0.
  CHECK(through(fd.get(), bare().u16(UDPCR_A_GSO_SIZE, 65535)).payload == "x");
  CHECK(through(fd.get(), bare().u16(UDPCR_A_GSO_SIZE, 1)).payload == "x");
  CHECK(through(fd.get(), bare().u16(UDPCR_A_GSO_SIZE, 0)).payload == "x");
  // An interface that there is not.
  CHECK(through(fd.get(), bare().u32(UDPCR_A_IFINDEX, 0x7fffffff)).payload == "x");
  // A time far ahead.
  CHECK(through(fd.get(), bare().u64(UDPCR_A_TSTAMP, 0x7fffffffffffffff)).payload == "x");
}

TEST_CASE("inject: a socket that does not do GRO gets a segmented datagram's bytes all the same") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  talk.stage(fd.get(), 1);
  Attrs made =
      Attrs::parse(datagram("198.51.100.7", "127.0.0.1", std::string(2500, 'g')).payload());
  made.all.push_back({UDPCR_A_GSO_SIZE, {0xe8, 0x03}});
  talk.add(1, made);
  talk.put(1, UDPCR_POSITION_FRONT);
  std::string all;
  for (const Received& one : receive_all(fd.get())) all += one.payload;
  CHECK(all == std::string(2500, 'g'));
}
