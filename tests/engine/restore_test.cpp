// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sockets come back where they stood: addresses, ports, peers, devices.
#include <fcntl.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

constexpr std::uint32_t kKnown = UDPCR_SOCK_ORIGIN_KNOWN;

Restored around(UniqueFd fd, std::uint32_t origin = 0) {
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {Queues::both, origin});
  fd.reset();
  return engine->restore(state, {});
}

void disconnect(int fd) {
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  REQUIRE(::connect(fd, &none, sizeof none) == 0);
}

}  // namespace

TEST_CASE("an unbound socket comes back unbound") {
  const Restored restored = around(unbound(GENERATE(AF_INET, AF_INET6)));
  CHECK(local_of(restored.fd.get()).port == 0);
  CHECK(restored.losses.empty());
}

TEST_CASE("UDP-Lite") {
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE));
  if (!fd) {
    // Removed from the kernel before 7.3: then creating one must say so.
    SocketState state = state_of(address("127.0.0.1", 4000), {});
    state.record.protocol = IPPROTO_UDPLITE;
    CHECK_THROWS_AS(engine_under_test()->restore(state, {}), Error);
    return;
  }
  bind_to(fd.get(), address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET, IPPROTO_UDPLITE);
  for (const char* payload : {"light", "", "weight"}) {
    send_to(sender.get(), local_of(fd.get()), payload);
  }
  const Restored restored = around(std::move(fd));
  INFO(list(restored.losses));
  CHECK(get(restored.fd.get(), SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDPLITE);
  CHECK(payloads(read_all(restored.fd.get())) == std::vector<std::string>{"light", "", "weight"});
}

TEST_CASE("a connected socket keeps its peer and its queue") {
  const std::string ip = GENERATE("127.0.0.1", "::1");
  const UniqueFd peer = socket_at(address(ip));
  UniqueFd fd = socket_at(address(ip), SOCK_NONBLOCK);
  const Address local = local_of(fd.get());
  connect_to(fd.get(), local_of(peer.get()));
  for (const char* payload : {"a", "", "b"}) send_to(peer.get(), local, payload);
  const Restored restored = around(std::move(fd));
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(local_of(restored.fd.get()) == local);
  CHECK((::fcntl(restored.fd.get(), F_GETFL) & O_NONBLOCK) != 0);
  CHECK(payloads(read_all(restored.fd.get())) == std::vector<std::string>{"a", "", "b"});
  REQUIRE(::send(restored.fd.get(), "reply", 5, 0) == 5);
  const auto seen = read_some(peer.get(), 1);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].source == local);
}

TEST_CASE("a device, with the queue and the peer") {
  UniqueFd fd = unbound(AF_INET);
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
  bind_to(fd.get(), address("127.0.0.1"));
  const Address local = local_of(fd.get());
  const UniqueFd peer = socket_at(address("127.0.0.1"));
  connect_to(fd.get(), local_of(peer.get()));
  send_to(peer.get(), local, "dev");
  const Restored restored = around(std::move(fd));
  char device[16] = {};
  socklen_t size = sizeof device;
  REQUIRE(::getsockopt(restored.fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device, &size) == 0);
  CHECK(std::string(device) == "lo");
  CHECK(payloads(read_all(restored.fd.get())) == std::vector<std::string>{"dev"});
  CHECK(local_of(restored.fd.get()) == local);
}

TEST_CASE("an automatic port stays automatic") {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const std::uint16_t port = local_of(fd.get()).port;
  const UniqueFd peer = socket_at(address("127.0.0.1"));
  connect_to(fd.get(), local_of(peer.get()));
  send_to(peer.get(), address("127.0.0.1", port), "q");
  const Restored restored =
      around(std::move(fd), kKnown | UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_ADDR);
  CHECK(local_of(restored.fd.get()).port == port);
  const bool able = !names(restored.losses, "automatic port");
  disconnect(restored.fd.get());
  // Where the kernel cannot (before 6.3) it was named.
  CHECK(local_of(restored.fd.get()).port == (able ? 0 : port));
  CHECK(payloads(read_all(restored.fd.get())) == std::vector<std::string>{"q"});
}

TEST_CASE("a socket that only called connect gets its port and address again") {
  const UniqueFd peer = socket_at(address("10.9.0.1"));
  UniqueFd fd = unbound(AF_INET);
  connect_to(fd.get(), local_of(peer.get()));
  const Address local = local_of(fd.get());
  const Restored restored = around(std::move(fd), kKnown);
  CHECK(local_of(restored.fd.get()) == local);
  CHECK_FALSE(names(restored.losses, "local address"));
}

TEST_CASE("an asked-for port stays asked for") {
  UniqueFd fd = socket_at(address("127.0.0.1", free_port()));
  const std::uint16_t port = local_of(fd.get()).port;
  connect_to(fd.get(), address("127.0.0.1", 9));
  const Restored restored =
      around(std::move(fd), kKnown | UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_PORT);
  disconnect(restored.fd.get());
  CHECK(local_of(restored.fd.get()).port == port);
}

TEST_CASE("two sockets of one port by SO_REUSEPORT keep their own queues") {
  const auto engine = engine_under_test();
  const std::uint16_t port = free_port();
  Restored restored[2];
  for (int i = 0; i < 2; ++i) {
    SocketState state = state_of(
        address("127.0.0.1", port),
        {datagram(address("198.51.100.1", 5), address("127.0.0.1"), "queue " + std::to_string(i))});
    state.record.options.push_back({SOL_SOCKET, SO_REUSEPORT, Bytes{1, 0, 0, 0}});
    restored[i] = engine->restore(state, {});
  }
  for (int i = 0; i < 2; ++i) {
    CHECK(payloads(read_all(restored[i].fd.get())) ==
          std::vector<std::string>{"queue " + std::to_string(i)});
  }
}

TEST_CASE("queues can be left out") {
  const auto engine = engine_under_test();
  const SocketState state =
      state_of(address("127.0.0.1", free_port()),
               {datagram(address("198.51.100.1", 5), address("127.0.0.1"), "x")});
  const Restored restored = engine->restore(state, {true, false});
  CHECK(restored.datagrams == 0);
  CHECK(read_all(restored.fd.get()).empty());
}

TEST_CASE("failures name the address, the reason and the remedy") {
  const auto engine = engine_under_test();
  const auto sentence = [&](const SocketState& state) {
    try {
      engine->restore(state, {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const UniqueFd taken = socket_at(address("127.0.0.1"));
  const Address busy = local_of(taken.get());
  const std::string in_use = sentence(state_of(busy, {}));
  INFO(in_use);
  CHECK(in_use.find(to_string(busy)) != std::string::npos);
  CHECK(in_use.find("Address already in use; end the program") != std::string::npos);
  const std::string foreign = sentence(state_of(address("203.0.113.1", 4000), {}));
  INFO(foreign);
  CHECK(foreign.find("203.0.113.1:4000") != std::string::npos);
  CHECK(foreign.find("add the address") != std::string::npos);
  SocketState device = state_of(address("127.0.0.1", 4000), {});
  device.record.device = "nosuch0";
  const std::string missing = sentence(device);
  INFO(missing);
  CHECK(missing.find("nosuch0") != std::string::npos);
  CHECK(missing.find("create that interface") != std::string::npos);
}
