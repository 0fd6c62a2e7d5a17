// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Interfaces have other indices at the restore than at the capture:
//
//   captured:  east 10  west 11      restored:  west 12  east 13
#include "interface_indices.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

void run(const std::string& command) {
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

// "east" and "west" while it lives, made in the order given.
class Interfaces {
 public:
  explicit Interfaces(std::initializer_list<const char*> names) {
    for (const std::string name : names) {
      const std::string peer = name + "-peer";
      run(std::string("ip link add ").append(name).append(" type veth peer name ").append(peer));
      run("echo 0 > /proc/sys/net/ipv6/conf/" + name + "/accept_dad");
      run("ip link set " + name + " up");
      run("ip link set " + peer + " up");
      run("ip addr add fe80::1234/64 dev " + name + " nodad");
      names_.push_back(name);
    }
  }
  ~Interfaces() { remove(); }
  Interfaces(const Interfaces&) = delete;
  Interfaces& operator=(const Interfaces&) = delete;
  void remove() {
    for (const std::string& name : names_)
      static_cast<void>(std::system(("ip link del " + name).c_str()));
    names_.clear();
  }

 private:
  std::vector<std::string> names_;
};

int index_of(const char* name) { return static_cast<int>(::if_nametoindex(name)); }

// Bound to east's link-local address.
UniqueFd placed_socket(std::uint16_t port) {
  UniqueFd fd = unbound(AF_INET6);
  Address where = address("fe80::1234", port);
  where.scope = static_cast<std::uint32_t>(index_of("east"));
  bind_to(fd.get(), where);
  return fd;
}

// In network order, as the options have it.
int outgoing(const char* name) {
  return static_cast<int>(htonl(static_cast<unsigned>(index_of(name))));
}

// As if it had come through `ifindex`, from a link-local neighbour there.
Datagram neighbour_datagram(std::uint32_t ifindex) {
  Datagram one = datagram(address("fe80::9", 9), address("fe80::1234", 1), "hello");
  one.source->scope = ifindex;
  one.ifindex = ifindex;
  return one;
}

}  // namespace

TEST_CASE("an interface's index is translated by its name") {
  const auto engine = engine_under_test();
  const std::uint16_t port = free_port();
  SocketState placed;
  SocketState sending;
  int east_before = 0;
  {
    const Interfaces before{"east", "west"};
    east_before = index_of("east");
    placed = engine->capture(placed_socket(port).get(), {});
    const UniqueFd fd = unbound(AF_INET6);
    bind_to(fd.get(), address("::", free_port()));
    set(fd.get(), SOL_IPV6, IPV6_MULTICAST_IF, index_of("east"));
    set(fd.get(), SOL_IPV6, IPV6_UNICAST_IF, outgoing("west"));
    set(fd.get(), SOL_IP, IP_UNICAST_IF, outgoing("east"));
    sending = engine->capture(fd.get(), {});
  }
  const Interfaces now{"west", "east"};
  REQUIRE(index_of("east") != east_before);
  REQUIRE(sending.record.interfaces.size() == 2);
  CHECK(sending.record.interfaces[0].name == "east");
  CHECK(sending.record.interfaces[1].name == "west");

  const Restored again = engine->restore(placed, {});
  INFO(list(again.losses));
  CHECK(again.losses.empty());
  CHECK(local_of(again.fd.get()).scope == static_cast<std::uint32_t>(index_of("east")));
  CHECK(local_of(again.fd.get()).port == port);

  const Restored restored = engine->restore(sending, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  const int fd = restored.fd.get();
  CHECK(get(fd, SOL_IPV6, IPV6_MULTICAST_IF) == index_of("east"));
  CHECK(get(fd, SOL_IPV6, IPV6_UNICAST_IF) == outgoing("west"));
  CHECK(get(fd, SOL_IP, IP_UNICAST_IF) == outgoing("east"));
}

TEST_CASE("the interfaces of queued datagrams are named and translated") {
  SocketState state;
  {
    const Interfaces before{"east", "west"};
    const UniqueFd fd = unbound(AF_INET6);
    for (const char* name : {"west", "east", "west"}) {
      const Bytes message =
          encode_datagram(neighbour_datagram(static_cast<std::uint32_t>(index_of(name))));
      state.receive_queue.append(message);
      state.error_queue.append(message);
    }
    name_interfaces(fd.get(), state);
  }
  REQUIRE(state.record.interfaces.size() == 2);
  const Interfaces now{"west"};
  std::vector<Loss> losses;
  const std::optional<SocketState> here = with_indices_of_here(state, losses);
  REQUIRE(here);
  for (const MessageStream* queue : {&here->receive_queue, &here->error_queue}) {
    const std::vector<Datagram> queued = decode_all(*queue);
    REQUIRE(queued.size() == 3);
    CHECK(queued[0].ifindex == static_cast<std::uint32_t>(index_of("west")));
    CHECK(queued[0].source->scope == static_cast<std::uint32_t>(index_of("west")));
    CHECK_FALSE(queued[1].ifindex);
    CHECK(queued[1].source->scope == 0);
    CHECK(queued[1].payload == bytes("hello"));
    CHECK(queued[2] == queued[0]);
  }
  // Once for each queue.
  INFO(list(losses));
  REQUIRE(losses.size() == 2);
  CHECK(losses[0].what == "interface");
  CHECK(losses[0].why == "1 queued datagrams came by interface east, which is not here");
}

TEST_CASE("what needs an interface that is gone is named, and the rest restored") {
  const auto engine = engine_under_test();
  SocketState state;
  {
    const Interfaces before{"east", "west"};
    const UniqueFd fd = unbound(AF_INET6);
    bind_to(fd.get(), address("::1", free_port()));
    set(fd.get(), SOL_IPV6, IPV6_MULTICAST_IF, index_of("east"));
    set(fd.get(), SOL_IPV6, IPV6_MULTICAST_HOPS, 7);
    state = engine->capture(fd.get(), {});
  }
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  REQUIRE(names(restored.losses, "interface"));
  CHECK(list(restored.losses).find("IPV6_MULTICAST_IF needs interface east") != std::string::npos);
  CHECK(get(restored.fd.get(), SOL_IPV6, IPV6_MULTICAST_IF) == 0);
  CHECK(get(restored.fd.get(), SOL_IPV6, IPV6_MULTICAST_HOPS) == 7);
}

TEST_CASE("a link-local address whose interface is gone is one clear error") {
  const auto engine = engine_under_test();
  SocketState state;
  {
    const Interfaces before{"east", "west"};
    state = engine->capture(placed_socket(free_port()).get(), {});
  }
  try {
    engine->restore(state, {});
    FAIL("it was restored");
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(std::string(error.what()).find("interface east is not here") != std::string::npos);
    CHECK(std::string(error.what()).find("UDPCR_MAP") != std::string::npos);
  }
}

TEST_CASE("a record that names no interface is restored as it stands") {
  std::vector<Loss> losses;
  SocketState state = state_of(address("127.0.0.1", 5), {});
  state.record.options.push_back({SOL_IPV6, IPV6_MULTICAST_IF, Bytes{9, 9, 0, 0}});
  CHECK_FALSE(with_indices_of_here(state, losses));
  CHECK(losses.empty());
}
