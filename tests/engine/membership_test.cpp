// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Multicast groups and their source filters come back, seen in the kernel's own
// answers and by what is received.
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

sockaddr_storage name_of(const std::string& ip) {
  socklen_t size = 0;
  return address(ip).to_sockaddr(size);
}

int level_of(const std::string& ip) { return address(ip).family == AF_INET ? SOL_IP : SOL_IPV6; }

void join(int fd, const std::string& group, const char* device, const std::string& source = "") {
  group_source_req request{};
  request.gsr_interface = ::if_nametoindex(device);
  request.gsr_group = name_of(group);
  if (!source.empty()) request.gsr_source = name_of(source);
  // struct group_req is its beginning.
  REQUIRE(::setsockopt(fd, level_of(group),
                       source.empty() ? MCAST_JOIN_GROUP : MCAST_JOIN_SOURCE_GROUP, &request,
                       source.empty() ? sizeof(group_req) : sizeof request) == 0);
}

void block(int fd, const std::string& group, const char* device, const std::string& source) {
  group_source_req request{};
  request.gsr_interface = ::if_nametoindex(device);
  request.gsr_group = name_of(group);
  request.gsr_source = name_of(source);
  REQUIRE(::setsockopt(fd, level_of(group), MCAST_BLOCK_SOURCE, &request, sizeof request) == 0);
}

Membership member(const std::string& group, const char* device, std::uint32_t mode,
                  const std::vector<std::string>& sources = {}) {
  Membership one;
  one.group = address(group);
  one.ifindex = ::if_nametoindex(device);
  one.device = device;
  one.mode = mode;
  for (const std::string& source : sources) one.sources.push_back(address(source));
  return one;
}

SocketState state_with(const std::vector<Membership>& members) {
  SocketState state = state_of(address("::", free_port()), {});
  state.record.memberships = members;
  return state;
}

}  // namespace

TEST_CASE("groups of both families come back in order, with their filters") {
  UniqueFd fd = unbound(AF_INET6);
  join(fd.get(), "239.1.2.3", "lo");
  join(fd.get(), "239.1.2.4", "left");
  join(fd.get(), "239.1.2.3", "left");
  join(fd.get(), "232.1.1.1", "left", "198.51.100.2");
  join(fd.get(), "232.1.1.1", "left", "198.51.100.1");
  block(fd.get(), "239.1.2.4", "left", "198.51.100.7");
  join(fd.get(), "ff05::1234", "lo");
  join(fd.get(), "ff35::1", "left", "2001:db8:1::2");
  join(fd.get(), "ff35::1", "left", "2001:db8:1::1");
  join(fd.get(), "ff05::9", "left");
  block(fd.get(), "ff05::9", "left", "2001:db8:1::9");
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {});
  INFO(list(state.losses));
  CHECK(state.losses.empty());
  REQUIRE(state.record.memberships.size() == 7);
  fd.reset();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  const auto now = engine->capture(restored.fd.get(), {}).record.memberships;
  CHECK(now == state.record.memberships);
  const auto has = [&](const Membership& wanted) {
    return std::find(now.begin(), now.end(), wanted) != now.end();
  };
  CHECK(has(member("239.1.2.3", "lo", MCAST_EXCLUDE)));
  CHECK(has(member("239.1.2.3", "left", MCAST_EXCLUDE)));
  CHECK(has(member("239.1.2.4", "left", MCAST_EXCLUDE, {"198.51.100.7"})));
  CHECK(has(member("232.1.1.1", "left", MCAST_INCLUDE, {"198.51.100.2", "198.51.100.1"})));
  CHECK(has(member("ff05::1234", "lo", MCAST_EXCLUDE)));
  CHECK(has(member("ff05::9", "left", MCAST_EXCLUDE, {"2001:db8:1::9"})));
  CHECK(engine->capture(unbound(AF_INET6).get(), {}).record.memberships.empty());
}

TEST_CASE("a restored filter lets in what the old one did") {
  UniqueFd fd = socket_at(address("0.0.0.0"));
  set(fd.get(), SOL_IP, IP_MULTICAST_ALL, 0);
  join(fd.get(), "232.5.5.5", "lo", "192.0.2.7");
  const Address to = address("232.5.5.5", local_of(fd.get()).port);
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {});
  fd.reset();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  for (const char* source : {"127.0.0.1", "192.0.2.7"}) {
    const UniqueFd sender = socket_at(address(source));
    ip_mreqn interface {};
    interface.imr_ifindex = 1;
    REQUIRE(::setsockopt(sender.get(), SOL_IP, IP_MULTICAST_IF, &interface, sizeof interface) == 0);
    send_to(sender.get(), to, source);
  }
  CHECK(payloads(read_some(restored.fd.get(), 1)) == std::vector<std::string>{"192.0.2.7"});
}

TEST_CASE("a group joined on no interface by name comes back on the one that was chosen") {
  UniqueFd fd = unbound(AF_INET);
  REQUIRE(std::system("ip route add 239.77.0.0/16 dev left") == 0);
  ip_mreqn request{};
  const Address group = address("239.77.1.1");
  std::memcpy(&request.imr_multiaddr, group.bytes, 4);
  REQUIRE(::setsockopt(fd.get(), SOL_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) == 0);
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {});
  REQUIRE(std::system("ip route replace 239.77.0.0/16 dev lo") == 0);
  const Restored restored = engine->restore(state, {});
  REQUIRE(std::system("ip route del 239.77.0.0/16") == 0);
  CHECK(engine->capture(restored.fd.get(), {}).record.memberships ==
        std::vector<Membership>{member("239.77.1.1", "left", MCAST_EXCLUDE)});
}

TEST_CASE("an interface is meant by its name, and a missing one costs that group only") {
  Membership moved = member("239.1.2.3", "left", MCAST_EXCLUDE);
  moved.ifindex = 4711;
  Membership missing = member("ff05::77", "lo", MCAST_EXCLUDE);
  missing.device = "nowhere0";
  Membership gone = member("ff05::78", "lo", MCAST_EXCLUDE);
  gone.device.clear();
  const auto engine = engine_under_test();
  const Restored restored = engine->restore(
      state_with({missing, moved, gone, member("ff05::79", "lo", MCAST_EXCLUDE)}), {});
  const std::string text = list(restored.losses);
  INFO(text);
  CHECK(restored.losses.size() == 2);
  CHECK(text.find("membership: it was a member of ff05::77 on nowhere0: No such device | create") !=
        std::string::npos);
  CHECK(engine->capture(restored.fd.get(), {}).record.memberships ==
        std::vector<Membership>{member("239.1.2.3", "left", MCAST_EXCLUDE),
                                member("ff05::79", "lo", MCAST_EXCLUDE)});
}

TEST_CASE("more groups or sources than the kernel allows are named, the others come back") {
  std::vector<Membership> members;
  for (int i = 1; i <= 21; ++i) {
    members.push_back(member("239.9.0." + std::to_string(i), "lo", MCAST_EXCLUDE));
  }
  const auto engine = engine_under_test();
  std::ofstream("/proc/sys/net/ipv4/igmp_max_memberships") << 20;
  const Restored many = engine->restore(state_with(members), {});
  INFO(list(many.losses));
  REQUIRE(many.losses.size() == 1);
  CHECK(many.losses[0].remedy.find("igmp_max_memberships") != std::string::npos);

  std::vector<std::string> sources;
  for (int i = 1; i <= 30; ++i) sources.push_back("198.51.100." + std::to_string(i));
  std::ofstream("/proc/sys/net/ipv4/igmp_max_msf") << 10;
  const Restored wide =
      engine->restore(state_with({member("239.9.1.1", "lo", MCAST_EXCLUDE, sources)}), {});
  INFO(list(wide.losses));
  CHECK(names(wide.losses, "membership"));
  // Not without its filter.
  CHECK(engine->capture(wide.fd.get(), {}).record.memberships.empty());
}

TEST_CASE("an anycast address is restored, or named where the kernel does not tell") {
  UniqueFd fd = unbound(AF_INET6);
  ipv6_mreq request{};
  const Address any = address("fd00:9::aaaa");
  std::memcpy(&request.ipv6mr_multiaddr, any.bytes, 16);
  request.ipv6mr_interface = ::if_nametoindex("left");
  REQUIRE(::setsockopt(fd.get(), SOL_IPV6, IPV6_JOIN_ANYCAST, &request, sizeof request) == 0);
  const auto engine = engine_under_test();
  SocketState state = engine->capture(fd.get(), {});
  INFO(list(state.losses));
  CHECK(names(state.losses, "anycast") != with_module());
  if (!with_module()) {
    Membership recorded = member("fd00:9::aaaa", "left", 0);
    recorded.anycast = true;
    state.record.memberships = {recorded};
  }
  fd.reset();
  CHECK_FALSE(names(engine->capture(unbound(AF_INET6).get(), {}).losses, "anycast"));
  const Restored restored = engine->restore(state, {});
  CHECK(restored.losses.empty());
  std::ifstream table("/proc/net/anycast6");
  const std::string text((std::istreambuf_iterator<char>(table)), {});
  CHECK(text.find("fd00000900000000000000000000aaaa") != std::string::npos);
}
