// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What is found on a socket and not kept is named.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

std::vector<Loss> losses_of(int fd) { return engine_under_test()->capture(fd, {}).losses; }

}  // namespace

TEST_CASE("memberships are named") {
  const UniqueFd fd = unbound(AF_INET6);
  ip_mreqn v4{};
  REQUIRE(::inet_pton(AF_INET, "239.1.2.3", &v4.imr_multiaddr) == 1);
  v4.imr_ifindex = 1;
  REQUIRE(::setsockopt(fd.get(), SOL_IP, IP_ADD_MEMBERSHIP, &v4, sizeof v4) == 0);
  ipv6_mreq v6{};
  REQUIRE(::inet_pton(AF_INET6, "ff05::1234", &v6.ipv6mr_multiaddr) == 1);
  v6.ipv6mr_interface = 1;
  REQUIRE(::setsockopt(fd.get(), SOL_IPV6, IPV6_JOIN_GROUP, &v6, sizeof v6) == 0);
  const std::string text = list(losses_of(fd.get()));
  INFO(text);
  CHECK(text.find("239.1.2.3 on lo") != std::string::npos);
  CHECK(text.find("ff05::1234 on lo") != std::string::npos);
  CHECK_FALSE(names(losses_of(unbound(AF_INET6).get()), "membership"));
}

TEST_CASE("filters and their lock are named") {
  const UniqueFd fd = unbound(AF_INET);
  sock_filter all = BPF_STMT(BPF_RET | BPF_K, 0xffff);
  const sock_fprog program{1, &all};
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0);
  CHECK(names(losses_of(fd.get()), "filter"));
  CHECK_FALSE(names(losses_of(fd.get()), "filter lock"));
  set(fd.get(), SOL_SOCKET, SO_LOCK_FILTER, 1);
  CHECK(names(losses_of(fd.get()), "filter lock"));
}

TEST_CASE("corked data is named") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  connect_to(fd.get(), address("127.0.0.1", 9));
  REQUIRE(::send(fd.get(), "half", 4, MSG_MORE) == 4);
  CHECK(names(losses_of(fd.get()), "cork"));
}

TEST_CASE("a pending error is named and not taken") {
  const UniqueFd fd = unbound(AF_INET);
  connect_to(fd.get(), address("127.0.0.1", free_port()));
  REQUIRE(::send(fd.get(), "x", 1, 0) == 1);
  const SocketState state = engine_under_test()->capture(fd.get(), {});
  CHECK(names(state.losses, "pending error") != with_module());
  CHECK(state.record.error == (with_module() ? ECONNREFUSED : 0));
  CHECK(get(fd.get(), SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
  CHECK_FALSE(names(losses_of(fd.get()), "pending error"));
}

TEST_CASE("shutdown is named for each direction") {
  const int how = GENERATE(as<int>(), SHUT_RD, SHUT_WR, SHUT_RDWR);
  const std::string ip = GENERATE("127.0.0.1", "::1");
  const UniqueFd fd = socket_at(address(ip));
  connect_to(fd.get(), address(ip, 9));
  CHECK_FALSE(names(losses_of(fd.get()), "shutdown"));
  REQUIRE(::shutdown(fd.get(), how) == 0);
  const auto losses = losses_of(fd.get());
  INFO(how << " " << list(losses));
  CHECK(names(losses, "shutdown"));
}

TEST_CASE("the owner for signals is named") {
  const UniqueFd fd = unbound(AF_INET);
  REQUIRE(::fcntl(fd.get(), F_SETOWN, ::getpid()) == 0);
  CHECK(names(losses_of(fd.get()), "signal owner"));
}

TEST_CASE("drops are counted and named") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUF, 2304);
  const UniqueFd sender = unbound(AF_INET);
  for (int i = 0; i < 50; ++i) send_to(sender.get(), local_of(fd.get()), std::string(1000, 'd'));
  const SocketState state = engine_under_test()->capture(fd.get(), {});
  CHECK(state.record.drops == 50 - state.receive_queue.count());
  CHECK(names(state.losses, "drop counter") != with_module());
}

TEST_CASE("a queue that is not asked for is named") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  send_to(unbound(AF_INET).get(), local_of(fd.get()), "x");
  const SocketState state = engine_under_test()->capture(fd.get(), {Queues::none, 0});
  CHECK(state.receive_queue.empty());
  CHECK(names(state.losses, "receive queue"));
}

TEST_CASE("empty datagrams behind the program's own peek offset are at risk, and named") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  send_to(unbound(AF_INET).get(), local_of(fd.get()), "x");
  set(fd.get(), SOL_SOCKET, SO_PEEK_OFF, 0);
  CHECK(names(losses_of(fd.get()), "empty datagrams") != with_module());
  CHECK(get(fd.get(), SOL_SOCKET, SO_PEEK_OFF) == 0);
}
