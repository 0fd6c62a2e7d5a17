// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the kernel had chosen it forgets again when the socket is dissolved from
// its peer, and what was asked for stays: as on the original.
#include <net/if.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>

#include <catch2/catch.hpp>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// connect(AF_UNSPEC); address, port and device afterwards.
std::string dissolved(int fd) {
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  REQUIRE(::connect(fd, &none, sizeof none) == 0);
  char device[IF_NAMESIZE] = {};
  socklen_t size = sizeof device;
  REQUIRE(::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size) == 0);
  return to_string(local_of(fd)) + " " + device;
}

Address link_local(std::uint16_t port) {
  Address result = address("fe80::99", port);
  result.scope = ::if_nametoindex("left");
  return result;
}

struct Kind {
  const char* text;
  std::uint32_t flags;  // what the shim would have seen
  UniqueFd (*make)();
};

constexpr std::uint32_t kKnown = UDPCR_SOCK_ORIGIN_KNOWN;
const Kind kKinds[] = {
    {"IPv4 address, automatic port", kKnown | UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_ADDR,
     [] { return socket_at(address("127.0.0.1")); }},
    {"port at the wildcard, then connected", kKnown | UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_PORT,
     [] {
       UniqueFd fd = socket_at(address("0.0.0.0", free_port()));
       connect_to(fd.get(), address("127.0.0.1", 9));
       return fd;
     }},
    {"address and port, then connected",
     kKnown | UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_ADDR | UDPCR_SOCK_BOUND_PORT,
     [] {
       UniqueFd fd = socket_at(address("192.0.2.7", free_port()));
       connect_to(fd.get(), address("127.0.0.1", 9));
       return fd;
     }},
    {"IPv4 connected", kKnown,
     [] {
       UniqueFd fd = unbound(AF_INET);
       connect_to(fd.get(), address("10.9.0.1", 9));
       return fd;
     }},
    {"IPv4-mapped connected", kKnown,
     [] {
       UniqueFd fd = unbound(AF_INET6);
       connect_to(fd.get(), address("::ffff:127.0.0.1", 9));
       return fd;
     }},
    {"link-local address, automatic port", kKnown | UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_ADDR,
     [] { return socket_at(link_local(0)); }},
    {"connected to a link-local address", kKnown,
     [] {
       UniqueFd fd = unbound(AF_INET6);
       connect_to(fd.get(), link_local(9));
       return fd;
     }},
};

}  // namespace

TEST_CASE("connect(AF_UNSPEC) leaves what it left of the original") {
  static const bool ready = std::system("ip addr add fe80::99/64 dev left nodad 2>/dev/null") == 0;
  REQUIRE(ready);
  const std::size_t number = GENERATE(range(std::size_t{0}, std::size(kKinds)));
  const Kind& kind = kKinds[number];
  INFO(kind.text);
  UniqueFd fd = kind.make();
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {Queues::both, kind.flags});
  const std::string wanted = dissolved(fd.get());
  fd.reset();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(local_of(restored.fd.get()) == state.record.local);
  CHECK(dissolved(restored.fd.get()) == wanted);
}
