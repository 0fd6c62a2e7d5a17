// SPDX-License-Identifier: LGPL-2.1-or-later
//
// SO_PEEK_OFF and what an earlier peek has done; whom input is told to.
#include <fcntl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

std::string peek(int fd) {
  char room[100];
  const ssize_t got = ::recv(fd, room, sizeof room, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 ? std::to_string(errno) : std::string(room, static_cast<std::size_t>(got));
}

}  // namespace

TEST_CASE("a peek goes on where the last one stopped") {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  for (const char* payload : {"abc", "defg", "hi"}) {
    send_to(sender.get(), local_of(fd.get()), payload);
  }
  set(fd.get(), SOL_SOCKET, SO_PEEK_OFF, 0);
  REQUIRE(peek(fd.get()) == "abc");
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {});
  CHECK(get(fd.get(), SOL_SOCKET, SO_PEEK_OFF) == 3);
  fd.reset();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(get(restored.fd.get(), SOL_SOCKET, SO_PEEK_OFF) == 3);
  CHECK(peek(restored.fd.get()) == "defg");
  CHECK(get(restored.fd.get(), SOL_SOCKET, SO_PEEK_OFF) == 7);
}

TEST_CASE("an empty datagram that was peeked at is passed over again, or named") {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  for (const char* payload : {"", "after"}) send_to(sender.get(), local_of(fd.get()), payload);
  set(fd.get(), SOL_SOCKET, SO_PEEK_OFF, 0);
  REQUIRE(peek(fd.get()).empty());
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {});
  fd.reset();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(names(state.losses, "empty datagrams") != with_module());
  CHECK(peek(restored.fd.get()) == (with_module() ? "after" : ""));
}

TEST_CASE("the owner is told, and its signal set again") {
  UniqueFd fd = unbound(AF_INET);
  REQUIRE(::fcntl(fd.get(), F_SETOWN, ::getpid()) == 0);
  REQUIRE(::fcntl(fd.get(), F_SETSIG, SIGUSR1) == 0);
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {});
  INFO(list(state.losses));
  CHECK(state.losses.empty());
  CHECK(state.record.owner ==
        FileOwner{F_OWNER_PID, static_cast<std::uint32_t>(::getpid()), SIGUSR1});
  const Restored restored = engine->restore(state, {});
  CHECK(::fcntl(restored.fd.get(), F_GETSIG) == SIGUSR1);
}
