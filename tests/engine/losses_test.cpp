// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What is found on a socket and not kept is named.
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

std::vector<Loss> losses_of(int fd) { return engine_under_test()->capture(fd, {}).losses; }

}  // namespace

TEST_CASE("corked data is named") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  connect_to(fd.get(), address("127.0.0.1", 9));
  REQUIRE(::send(fd.get(), "half", 4, MSG_MORE) == 4);
  CHECK(names(losses_of(fd.get()), "cork") != with_module());
}

TEST_CASE("a pending error is named and not taken") {
  const UniqueFd fd = unbound(AF_INET);
  const Address nobody = address("127.0.0.1", free_port());
  connect_to(fd.get(), nobody);
  send_to(fd.get(), nobody, "x");
  const SocketState state = engine_under_test()->capture(fd.get(), {});
  CHECK(names(state.losses, "pending error") != with_module());
  CHECK(state.record.error == (with_module() ? ECONNREFUSED : 0));
  CHECK(get(fd.get(), SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
  CHECK_FALSE(names(losses_of(fd.get()), "pending error"));
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
