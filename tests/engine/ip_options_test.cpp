// SPDX-License-Identifier: LGPL-2.1-or-later
//
// IP options, extension headers and flow labels of queued datagrams.
#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "kernel_numbers.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

void set_bytes(int fd, int level, int name, const Bytes& value) {
  REQUIRE(::setsockopt(fd, level, name, value.data(), static_cast<socklen_t>(value.size())) == 0);
}

// Captures, restores, and captures again.
std::vector<Datagram> round_trip(UniqueFd fd, std::vector<Datagram>& before,
                                 std::vector<Loss>& losses) {
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {});
  before = decode_all(state.receive_queue);
  fd.reset();
  const Restored restored = engine->restore(state, {});
  losses = restored.losses;
  INFO(list(state.losses));
  CHECK(state.losses.empty());
  return decode_all(engine->capture(restored.fd.get(), {}).receive_queue);
}

}  // namespace

TEST_CASE("IPv4 options of a queued datagram come back") {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  // Router alert (RFC 2113), nothing three times, end.
  const Bytes options = {148, 4, 0, 0, 1, 1, 1, 0};
  set_bytes(sender.get(), SOL_IP, IP_OPTIONS, options);
  send_to(sender.get(), local_of(fd.get()), "with");
  set_bytes(sender.get(), SOL_IP, IP_OPTIONS, {});
  send_to(sender.get(), local_of(fd.get()), "without");
  std::vector<Datagram> before;
  std::vector<Loss> losses;
  const auto after = round_trip(std::move(fd), before, losses);
  INFO(list(losses));
  CHECK(losses.empty());
  REQUIRE(before.size() == 2);
  REQUIRE(after.size() == 2);
  CHECK(before[0].ip_options == options);
  CHECK(after[0].ip_options == options);
  CHECK(after[0].payload == bytes("with"));
  CHECK(before[1].ip_options.empty());
  CHECK(after[1].ip_options.empty());
}

TEST_CASE("a recorded route comes back, with room or full") {
  const Bytes option = GENERATE(Bytes{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                                Bytes{7, 7, 4, 0, 0, 0, 0, 0}, Bytes{7, 7, 8, 10, 9, 0, 5, 0});
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  set_bytes(sender.get(), SOL_IP, IP_OPTIONS, option);
  send_to(sender.get(), local_of(fd.get()), "route");
  std::vector<Datagram> before;
  std::vector<Loss> losses;
  const auto after = round_trip(std::move(fd), before, losses);
  INFO(list(losses));
  CHECK(losses.empty());
  REQUIRE(before.size() == 1);
  REQUIRE(after.size() == 1);
  CHECK(before[0].ip_options.size() == option.size());
  CHECK(after[0].ip_options == before[0].ip_options);
}

TEST_CASE("timestamps in IPv4 options come back with the module, and are named without") {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  set_bytes(sender.get(), SOL_IP, IP_OPTIONS, {68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  send_to(sender.get(), local_of(fd.get()), "times");
  std::vector<Datagram> before;
  std::vector<Loss> losses;
  const auto after = round_trip(std::move(fd), before, losses);
  INFO(list(losses));
  REQUIRE(before.size() == 1);
  REQUIRE(after.size() == 1);
  CHECK(before[0].ip_options.size() == 12);
  CHECK((after[0].ip_options == before[0].ip_options) == with_module());
  CHECK(names(losses, "IP options") != with_module());
}

TEST_CASE("IPv6 extension headers and the flow label come back") {
  const bool label_seen = GENERATE(false, true);
  UniqueFd fd = socket_at(address("::1"));
  if (label_seen) set(fd.get(), SOL_IPV6, kIpv6Flowinfo, 1);
  const UniqueFd sender = unbound(AF_INET6);
  // Router alert (RFC 2711) and padding; padding alone.
  set_bytes(sender.get(), SOL_IPV6, IPV6_HOPOPTS, {0, 0, 5, 2, 0, 0, 1, 0});
  set_bytes(sender.get(), SOL_IPV6, IPV6_DSTOPTS, {0, 0, 1, 4, 0, 0, 0, 0});
  send_to(sender.get(), local_of(fd.get()), "with");
  set_bytes(sender.get(), SOL_IPV6, IPV6_HOPOPTS, {});
  set_bytes(sender.get(), SOL_IPV6, IPV6_DSTOPTS, {});
  send_to(sender.get(), local_of(fd.get()), "without");
  std::vector<Datagram> before;
  std::vector<Loss> losses;
  const auto after = round_trip(std::move(fd), before, losses);
  INFO(list(losses));
  CHECK(losses.empty());
  REQUIRE(before.size() == 2);
  REQUIRE(after.size() == 2);
  CHECK(before[0].next_header == IPPROTO_HOPOPTS);
  CHECK(before[0].ip_options == Bytes{60, 0, 5, 2, 0, 0, 1, 0, 17, 0, 1, 4, 0, 0, 0, 0});
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(after[i].ip_options == before[i].ip_options);
    CHECK(after[i].next_header == before[i].next_header);
    CHECK(before[i].flow_label.value_or(0) != 0);
    if (label_seen) CHECK(after[i].flow_label == before[i].flow_label);
  }
}

TEST_CASE("the firewall mark and the priority of a queued datagram come back") {
  const std::string ip = GENERATE("127.0.0.1", "::1");
  UniqueFd fd = socket_at(address(ip));
  // Then nothing else is left by which the filter could know our datagrams.
  const bool all_seen = GENERATE(false, true);
  if (all_seen) set(fd.get(), SOL_SOCKET, kSoRcvmark, 1);
  if (all_seen && ip == "::1") set(fd.get(), SOL_IPV6, kIpv6Flowinfo, 1);
  const UniqueFd sender = unbound(address(ip).family);
  set(sender.get(), SOL_SOCKET, SO_MARK, 77);
  set(sender.get(), SOL_SOCKET, SO_PRIORITY, 5);
  send_to(sender.get(), local_of(fd.get()), "marked");
  set(sender.get(), SOL_SOCKET, SO_MARK, 0);
  set(sender.get(), SOL_SOCKET, SO_PRIORITY, 0);
  send_to(sender.get(), local_of(fd.get()), "plain");
  std::vector<Datagram> before;
  std::vector<Loss> losses;
  const auto after = round_trip(std::move(fd), before, losses);
  INFO(list(losses));
  CHECK(losses.empty());
  REQUIRE(before.size() == 2);
  REQUIRE(after.size() == 2);
  CHECK(before[0].mark.value_or(0) == 77);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(after[i].mark == before[i].mark);
    if (all_seen) CHECK(after[i].flow_label == before[i].flow_label);
    CHECK(after[i].priority == before[i].priority);
  }
}

TEST_CASE("fragments of a queued datagram come back in their size") {
  const bool v4 = GENERATE(false, true);
  UniqueFd fd = socket_at(address(v4 ? "127.0.0.1" : "::1"));
  const int level = v4 ? SOL_IP : SOL_IPV6;
  set(fd.get(), level, v4 ? kIpRecvfragsize : kIpv6Recvfragsize, 1);
  const auto engine = engine_under_test();
  SocketState state = engine->capture(fd.get(), {});
  fd.reset();
  const Address source = address(v4 ? "198.51.100.9" : "2001:db8:5::9", 99);
  Datagram broken = datagram(source, state.record.local, std::string(3000, 'f'));
  broken.destination->port = 0;
  broken.frag_size = 1020;
  state.receive_queue.append(encode_datagram(broken));
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  const auto after = decode_all(engine->capture(restored.fd.get(), {}).receive_queue);
  REQUIRE(after.size() == 1);
  CHECK(after[0].payload == broken.payload);
  CHECK(after[0].source == source);
  // A fragment's data are a multiple of 8 bytes (RFC 791, RFC 8200).
  CHECK(after[0].frag_size.value_or(0) > 1020 - 8);
  CHECK(after[0].frag_size.value_or(0) <= 1020);
}
