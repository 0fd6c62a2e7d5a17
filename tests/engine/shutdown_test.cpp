// SPDX-License-Identifier: LGPL-2.1-or-later
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// What a program sees of a socket that may be shut down, the queue first.
std::string behaviour(int fd, const Address& peer, int how) {
  pollfd events{fd, POLLIN | POLLRDHUP, 0};
  ::poll(&events, 1, 0);
  std::string seen = std::to_string(events.revents) + " ";
  char byte = 0;
  for (int i = 0; i < 3; ++i) {
    // Whoever waits is told that nothing more will come.
    const ssize_t got = ::recv(fd, &byte, 1, how == SHUT_WR ? MSG_DONTWAIT : 0);
    seen += got == 1 ? std::string(1, byte) : got == 0 ? "end" : std::to_string(errno);
    seen += ' ';
  }
  socklen_t size = 0;
  const sockaddr_storage name = peer.to_sockaddr(size);
  const ssize_t sent =
      ::sendto(fd, &byte, 1, MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&name), size);
  return seen + (sent == 1 ? "sent" : std::to_string(errno));
}

}  // namespace

TEST_CASE("each half that was shut down is shut down again, behind the queue") {
  const int how = GENERATE(as<int>(), SHUT_RD, SHUT_WR, SHUT_RDWR);
  const std::string ip = GENERATE("127.0.0.1", "::1");
  const bool connected = GENERATE(false, true);
  UniqueFd fd = socket_at(address(ip));
  const UniqueFd peer = socket_at(address(ip));
  const Address there = local_of(peer.get());
  if (connected) connect_to(fd.get(), there);
  const auto engine = engine_under_test();
  CHECK(engine->capture(fd.get(), {}).record.shutdown == 0);
  send_to(peer.get(), local_of(fd.get()), "q");
  const int result = ::shutdown(fd.get(), how);
  REQUIRE((result == 0 || (errno == ENOTCONN && !connected)));
  const SocketState state = engine->capture(fd.get(), {});
  INFO("how " << how << "\n" << list(state.losses));
  CHECK(state.losses.empty());
  CHECK(state.record.shutdown == how + 1);
  const std::string before = behaviour(fd.get(), there, how);
  fd.reset();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(behaviour(restored.fd.get(), there, how) == before);
  CHECK(engine->capture(restored.fd.get(), {}).record.shutdown == how + 1);
}

TEST_CASE("a half that was shut down is seen on each socket that shares a port") {
  const UniqueFd first = unbound(AF_INET);
  set(first.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  bind_to(first.get(), address("127.0.0.1"));
  std::vector<UniqueFd> others;
  for (int i = 0; i < 8; ++i) {
    others.push_back(unbound(AF_INET));
    set(others.back().get(), SOL_SOCKET, SO_REUSEPORT, 1);
    bind_to(others.back().get(), local_of(first.get()));
    // Only of bound sockets, and only sock_diag, without the module.
    ::shutdown(others.back().get(), SHUT_WR);
  }
  const auto engine = engine_under_test();
  CHECK(engine->capture(first.get(), {}).record.shutdown == 0);
  for (const UniqueFd& other : others) {
    CHECK(engine->capture(other.get(), {}).record.shutdown == 2);
  }
}
