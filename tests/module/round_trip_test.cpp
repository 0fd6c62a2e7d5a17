// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a program sees of a datagram that was captured and staged on another
// socket is what it would have seen of the original, byte for byte.
#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <functional>

#include "kernel_numbers.hpp"
#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// Captures the queue of `from`, stages it on a fresh socket as `make` makes it,
// and compares what both then give.
void go_round(int from, const std::function<UniqueFd()>& make, std::size_t count) {
  Talk talk;
  const auto queue = talk.queue(from);
  REQUIRE(queue.size() == count);
  const UniqueFd to = make();
  set(to.get(), SOL_SOCKET, SO_RCVBUFFORCE, get(from, SOL_SOCKET, SO_RCVBUF) / 2);
  talk.stage(to.get(), 1);
  for (const Message& one : queue) talk.add(1, one);
  // The list tells again what was put into it.
  const auto held = talk.held(1);
  REQUIRE(held.size() == count);
  for (std::size_t i = 0; i < count; ++i) {
    for (const Attr& attr : queue[i].all) {
      INFO("attribute " << attr.type << " of datagram " << i);
      CHECK((held[i].bytes(attr.type) == attr.value));
    }
  }
  talk.put(1, UDPCR_POSITION_FRONT);
  const auto wanted = receive_all(from);
  const auto seen = receive_all(to.get());
  REQUIRE(wanted.size() == count);
  REQUIRE(seen.size() == count);
  for (std::size_t i = 0; i < count; ++i) {
    INFO("wanted " << to_string(wanted[i]) << "\nseen   " << to_string(seen[i]));
    CHECK((wanted[i] == seen[i]));
    // Nothing of it is compared unless it is there.
    CHECK(seen[i].ancillary.count("SO_TIMESTAMPNS") == 1);
  }
  CHECK(charged(from) == 0);
  CHECK(charged(to.get()) == 0);
}

UniqueFd asking(const Address& where) {
  UniqueFd fd = unbound(where.family);
  set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
  ask_for_all(fd.get());
  bind_to(fd.get(), where);
  return fd;
}

UniqueFd far_sender(const std::string& ip) {
  const In there(Net::far);
  UniqueFd fd = socket_at(address(ip));
  set(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20);
  return fd;
}

}  // namespace

TEST_CASE("round trip: from another machine, all sizes, TTLs and TOS", "[smoke]") {
  const std::string where = GENERATE("10.9.0.1", "0.0.0.0", "fd00:9::1", "::");
  const bool v6 = where.find(':') != std::string::npos;
  const UniqueFd from = asking(address(where));
  const Address to = address(v6 ? "fd00:9::1" : "10.9.0.1", local_of(from.get()).port);
  const UniqueFd sender = far_sender(v6 ? "fd00:9::2" : "10.9.0.2");
  std::uint32_t count = 0;
  for (const std::size_t size : {0U, 1U, 1400U, 5000U, 65000U, 0U, 20U}) {
    send_with(sender.get(), to, std::string(size, static_cast<char>('a' + count)),
              {.ttl = static_cast<int>(20 + count), .tos = static_cast<int>(4 * count)});
    await_count(from.get(), ++count);
  }
  if (where == "::") {
    const UniqueFd four = far_sender("10.9.0.2");
    send_with(four.get(), address("10.9.0.1", to.port), "mapped", {.ttl = 9, .tos = 8});
    await_count(from.get(), ++count);
  }
  go_round(
      from.get(), [&] { return asking(local_of(from.get())); }, count);
}

TEST_CASE("round trip: over loopback, with marks and segments", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd from = asking(address(v6 ? "::1" : "127.0.0.1"));
  const UniqueFd sender = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  set(sender.get(), SOL_SOCKET, SO_MARK, 0x1234);
  send_with(sender.get(), local_of(from.get()), "marked", {.ttl = 3});
  send_with(sender.get(), local_of(from.get()), std::string(9500, 's'), {.segment = 1000});
  // ECN bits too.
  send_with(sender.get(), local_of(from.get()), "ce", {.tos = 0x03});
  go_round(
      from.get(), [&] { return asking(local_of(from.get())); }, 3);
}

TEST_CASE("round trip: multicast and broadcast") {
  const UniqueFd from = asking(address("0.0.0.0"));
  ip_mreqn group{};
  std::memcpy(&group.imr_multiaddr, address("239.9.9.8").bytes, 4);
  group.imr_ifindex = static_cast<int>(index_of("left"));
  REQUIRE(::setsockopt(from.get(), SOL_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0);
  const UniqueFd sender = far_sender("10.9.0.2");
  set(sender.get(), SOL_SOCKET, SO_BROADCAST, 1);
  {
    const In there(Net::far);
    group.imr_ifindex = static_cast<int>(index_of("right"));
  }
  REQUIRE(::setsockopt(sender.get(), SOL_IP, IP_MULTICAST_IF, &group, sizeof group) == 0);
  std::uint32_t count = 0;
  for (const char* to : {"239.9.9.8", "10.9.0.255", "10.9.0.1"}) {
    send_to(sender.get(), address(to, local_of(from.get()).port), to);
    await_count(from.get(), ++count);
  }
  go_round(
      from.get(), [&] { return asking(local_of(from.get())); }, count);
}

TEST_CASE("round trip: a link-local source") {
  const UniqueFd from = asking(address("::"));
  ipv6_mreq group{};
  std::memcpy(&group.ipv6mr_multiaddr, address("ff02::78").bytes, 16);
  group.ipv6mr_interface = index_of("left");
  REQUIRE(::setsockopt(from.get(), SOL_IPV6, IPV6_JOIN_GROUP, &group, sizeof group) == 0);
  UniqueFd sender;
  Address to = address("ff02::78", local_of(from.get()).port);
  {
    const In there(Net::far);
    sender = unbound(AF_INET6);
    to.scope = index_of("right");
  }
  send_to(sender.get(), to, "link-local");
  await_count(from.get(), 1);
  go_round(
      from.get(), [&] { return asking(local_of(from.get())); }, 1);
}

TEST_CASE("round trip: errors on the sockets and their flags are left alone") {
  const UniqueFd from = asking(address("127.0.0.1"));
  set(from.get(), SOL_IP, IP_RECVERR, 1);
  send_to(from.get(), address("127.0.0.1", free_port()), "refused");
  Talk talk;
  REQUIRE(talk.record(from.get()).u32(UDPCR_A_ERROR) == ECONNREFUSED);
  REQUIRE(talk.record(from.get()).u32(UDPCR_A_ERROR_COUNT) == 1);
  const UniqueFd sender = unbound(AF_INET);
  send_to(sender.get(), local_of(from.get()), "plain");
  talk.queue(from.get());
  talk.take(from.get(), 1);
  CHECK(talk.record(from.get()).u32(UDPCR_A_ERROR) == ECONNREFUSED);
  talk.put(1, UDPCR_POSITION_FRONT);
  CHECK(talk.record(from.get()).u32(UDPCR_A_ERROR_COUNT) == 1);
  CHECK(get(from.get(), SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
  Received seen;
  REQUIRE(receive(from.get(), seen));
  CHECK(seen.payload == "plain");
  CHECK((seen.flags & MSG_ERRQUEUE) == 0);
  REQUIRE(receive(from.get(), seen, MSG_ERRQUEUE));
  CHECK(seen.payload == "refused");
}

TEST_CASE("round trip: a full queue comes back whole", "[smoke]") {
  const std::size_t size =
      GENERATE(std::size_t{0}, std::size_t{100}, std::size_t{1400}, std::size_t{60000});
  const int buffer = GENERATE(2000, 100000);
  const UniqueFd from = socket_at(address("127.0.0.1"));
  set(from.get(), SOL_SOCKET, SO_RCVBUF, buffer);
  const UniqueFd sender = unbound(AF_INET);
  set(sender.get(), SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20);
  const std::string payload(size, 'f');
  while (dropped(from.get()) == 0) send_to(sender.get(), local_of(from.get()), payload);
  CAPTURE(size, buffer);
  Talk talk;
  const auto queue = talk.queue(from.get());
  const UniqueFd to = unbound(AF_INET);
  set(to.get(), SOL_SOCKET, SO_RCVBUF, buffer);
  REQUIRE(get(to.get(), SOL_SOCKET, SO_RCVBUF) == get(from.get(), SOL_SOCKET, SO_RCVBUF));
  talk.stage(to.get(), 1);
  for (const Message& one : queue) talk.add(1, one);
  talk.put(1, UDPCR_POSITION_FRONT);
  CHECK(receive_all(to.get()).size() == queue.size());
  CHECK(receive_all(from.get()).size() == queue.size());
}
