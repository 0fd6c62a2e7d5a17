// SPDX-License-Identifier: LGPL-2.1-or-later
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "refusal.hpp"
#include "support.hpp"

#ifndef IPV6_JOIN_ANYCAST
#define IPV6_JOIN_ANYCAST 27
#endif

using namespace udpcr;
using namespace udpcr::test;

namespace {

group_req request(const std::string& group, const char* interface) {
  group_req result{};
  result.gr_interface = index_of(interface);
  socklen_t size = 0;
  const sockaddr_storage name = address(group).to_sockaddr(size);
  std::memcpy(&result.gr_group, &name, sizeof name);
  return result;
}

int level_of(const std::string& ip) { return address(ip).family == AF_INET ? SOL_IP : SOL_IPV6; }

void join(int fd, const std::string& group, const char* interface) {
  const group_req wanted = request(group, interface);
  REQUIRE(::setsockopt(fd, level_of(group), MCAST_JOIN_GROUP, &wanted, sizeof wanted) == 0);
}

void join_source(int fd, const std::string& group, const std::string& source,
                 const char* interface) {
  group_source_req wanted{};
  const group_req plain = request(group, interface);
  wanted.gsr_interface = plain.gr_interface;
  wanted.gsr_group = plain.gr_group;
  socklen_t size = 0;
  const sockaddr_storage name = address(source).to_sockaddr(size);
  std::memcpy(&wanted.gsr_source, &name, sizeof name);
  REQUIRE(::setsockopt(fd, level_of(group), MCAST_JOIN_SOURCE_GROUP, &wanted, sizeof wanted) == 0);
}

void filter(int fd, const std::string& group, const char* interface, std::uint32_t mode,
            const std::vector<Address>& sources) {
  Bytes room(GROUP_FILTER_SIZE(sources.size()));
  group_filter head{};
  const group_req plain = request(group, interface);
  head.gf_interface = plain.gr_interface;
  head.gf_group = plain.gr_group;
  head.gf_fmode = mode;
  head.gf_numsrc = static_cast<std::uint32_t>(sources.size());
  std::memcpy(room.data(), &head, std::min(sizeof head, room.size()));
  for (std::size_t i = 0; i < sources.size(); ++i) {
    socklen_t size = 0;
    const sockaddr_storage name = sources[i].to_sockaddr(size);
    std::memcpy(room.data() + GROUP_FILTER_SIZE(i), &name, sizeof name);
  }
  REQUIRE(::setsockopt(fd, level_of(group), MCAST_MSFILTER, room.data(),
                       static_cast<socklen_t>(room.size())) == 0);
}

Bytes ip_bytes(const std::string& ip) {
  const Address one = address(ip);
  return Bytes(one.bytes, one.bytes + (one.family == AF_INET ? 4 : 16));
}

Bytes operator+(Bytes one, const Bytes& two) {
  one.insert(one.end(), two.begin(), two.end());
  return one;
}

void check(const Attrs& member, const std::string& group, const char* interface, std::uint32_t mode,
           const Bytes& sources) {
  INFO(group);
  CHECK(member.bytes(UDPCR_MEMBER_GROUP) == ip_bytes(group));
  CHECK(member.u32(UDPCR_MEMBER_IFINDEX) == index_of(interface));
  CHECK(member.string(UDPCR_MEMBER_DEVICE) == interface);
  CHECK(member.u32(UDPCR_MEMBER_MODE) == mode);
  const Bytes found =
      member.has(UDPCR_MEMBER_SOURCES) ? member.bytes(UDPCR_MEMBER_SOURCES) : Bytes{};
  // The order of a filter's sources means nothing; v6 and v4 sort differently.
  CHECK(found.size() == sources.size());
  const std::size_t width = ip_bytes(group).size();
  for (std::size_t i = 0; i < sources.size(); i += width) {
    bool there = false;
    for (std::size_t j = 0; j < found.size(); j += width) {
      there = there || std::memcmp(&found[j], &sources[i], width) == 0;
    }
    CHECK(there);
  }
  CHECK_FALSE(member.has(UDPCR_MEMBER_ANYCAST));
}

std::vector<Attrs> members(int fd) { return Talk().record(fd).nests(UDPCR_A_MEMBERSHIP); }

// Lets sockets have memberships of any size: the limits are the namespace's
// or the initial one's, as the kernel has it.
class Roomy {
 public:
  Roomy() {
    raise("igmp_max_memberships", "/proc/sys/net/ipv4/igmp_max_memberships", "1000");
    raise("igmp_max_msf", "/proc/sys/net/ipv4/igmp_max_msf", "20000");
    raise("mld_max_msf", "/proc/sys/net/ipv6/mld_max_msf", "20000");
    raise("optmem_max", "/proc/sys/net/core/optmem_max", "8000000");
  }

 private:
  void raise(const char*, const std::string& path, const std::string& value) {
    if (::access(path.c_str(), W_OK) == 0) {
      near_.emplace_back(std::make_unique<Setting>(path, value));
    }
    const In initial(Net::initial);
    initial_.emplace_back(std::make_unique<Initial>(path, value));
  }
  struct Initial {
    Initial(std::string where, const std::string& value) : path(std::move(where)) {
      before = file_text(path);
      demand(write_file(path, value), "cannot write " + path);
    }
    ~Initial() {
      const In net(Net::initial);
      write_file(path, before);
    }
    std::string path, before;
  };
  std::vector<std::unique_ptr<Setting>> near_;
  std::vector<std::unique_ptr<Initial>> initial_;
};

std::vector<Address> many(std::size_t count) {
  std::vector<Address> all;
  for (std::size_t i = 0; i < count; ++i) {
    Address one = address("2001:db8:1::");
    one.bytes[14] = static_cast<std::uint8_t>((i + 1) >> 8);
    one.bytes[15] = static_cast<std::uint8_t>(i + 1);
    all.push_back(one);
  }
  return all;
}

}  // namespace

TEST_CASE("memberships: none on a fresh socket") {
  const UniqueFd fd = unbound(GENERATE(AF_INET, AF_INET6));
  CHECK(members(fd.get()).empty());
}

TEST_CASE("memberships: IPv4 in the order of joining, with their filters", "[smoke]") {
  const UniqueFd fd = socket_at(address("0.0.0.0"));
  join(fd.get(), "239.1.1.1", "left");
  join(fd.get(), "239.1.1.2", "lo");
  join_source(fd.get(), "239.1.1.3", "10.9.0.2", "left");
  join_source(fd.get(), "239.1.1.3", "10.9.0.3", "left");
  join(fd.get(), "239.1.1.4", "left");
  filter(fd.get(), "239.1.1.4", "left", MCAST_EXCLUDE, {address("10.9.0.4"), address("10.9.0.5")});
  join(fd.get(), "239.1.1.1", "lo");
  const auto all = members(fd.get());
  REQUIRE(all.size() == 5);
  check(all[0], "239.1.1.1", "left", MCAST_EXCLUDE, {});
  check(all[1], "239.1.1.2", "lo", MCAST_EXCLUDE, {});
  check(all[2], "239.1.1.3", "left", MCAST_INCLUDE, ip_bytes("10.9.0.2") + ip_bytes("10.9.0.3"));
  check(all[3], "239.1.1.4", "left", MCAST_EXCLUDE, ip_bytes("10.9.0.4") + ip_bytes("10.9.0.5"));
  check(all[4], "239.1.1.1", "lo", MCAST_EXCLUDE, {});
}

TEST_CASE("memberships: IPv6 in the order of joining, with their filters", "[smoke]") {
  const UniqueFd fd = socket_at(address("::"));
  join(fd.get(), "ff05::1:1", "left");
  join(fd.get(), "ff02::fb", "left");
  join_source(fd.get(), "ff05::1:3", "fd00:9::2", "left");
  join_source(fd.get(), "ff05::1:3", "fd00:9::3", "left");
  join(fd.get(), "ff05::1:4", "left");
  filter(fd.get(), "ff05::1:4", "left", MCAST_EXCLUDE,
         {address("fd00:9::4"), address("fd00:9::5")});
  const auto all = members(fd.get());
  REQUIRE(all.size() == 4);
  check(all[0], "ff05::1:1", "left", MCAST_EXCLUDE, {});
  check(all[1], "ff02::fb", "left", MCAST_EXCLUDE, {});
  check(all[2], "ff05::1:3", "left", MCAST_INCLUDE, ip_bytes("fd00:9::2") + ip_bytes("fd00:9::3"));
  check(all[3], "ff05::1:4", "left", MCAST_EXCLUDE, ip_bytes("fd00:9::4") + ip_bytes("fd00:9::5"));
}

TEST_CASE("memberships: an IPv6 socket's IPv4 groups are told too") {
  const UniqueFd fd = socket_at(address("::"));
  join(fd.get(), "ff05::1:1", "left");
  join(fd.get(), "239.1.1.9", "left");
  const auto all = members(fd.get());
  REQUIRE(all.size() == 2);
  bool v4 = false;
  for (const Attrs& one : all) v4 = v4 || one.bytes(UDPCR_MEMBER_GROUP) == ip_bytes("239.1.1.9");
  CHECK(v4);
}

TEST_CASE("memberships: IPv6 anycast") {
  // Only a router, or a socket with CAP_NET_ADMIN, joins an anycast address.
  const UniqueFd fd = socket_at(address("::"));
  ipv6_mreq wanted{};
  const Address group = address("fd00:9::aa");
  std::memcpy(&wanted.ipv6mr_multiaddr, group.bytes, 16);
  wanted.ipv6mr_interface = index_of("left");
  REQUIRE(::setsockopt(fd.get(), SOL_IPV6, IPV6_JOIN_ANYCAST, &wanted, sizeof wanted) == 0);
  const auto all = members(fd.get());
  REQUIRE(all.size() == 1);
  CHECK(all[0].has(UDPCR_MEMBER_ANYCAST));
  CHECK(all[0].bytes(UDPCR_MEMBER_GROUP) == ip_bytes("fd00:9::aa"));
  CHECK(all[0].u32(UDPCR_MEMBER_IFINDEX) == index_of("left"));
}

TEST_CASE("memberships: one whose interface is gone has an index but no name") {
  const bool v6 = GENERATE(false, true);
  REQUIRE(std::system("ip link add gone type veth peer name gone2 && ip link set gone up") == 0);
  const unsigned index = index_of("gone");
  const UniqueFd fd = socket_at(address(v6 ? "::" : "0.0.0.0"));
  join(fd.get(), v6 ? "ff05::2:2" : "239.2.2.2", "gone");
  REQUIRE(std::system("ip link del gone") == 0);
  const auto all = members(fd.get());
  REQUIRE(all.size() == 1);
  CHECK(all[0].u32(UDPCR_MEMBER_IFINDEX) == index);
  CHECK_FALSE(all[0].has(UDPCR_MEMBER_DEVICE));
}

TEST_CASE("memberships: many of them are all told") {
  const Roomy roomy;
  const UniqueFd fd = socket_at(address("0.0.0.0"));
  for (int i = 1; i <= 250; ++i) join(fd.get(), "239.3.0." + std::to_string(i), "left");
  const auto all = members(fd.get());
  REQUIRE(all.size() == 250);
  CHECK(all.front().bytes(UDPCR_MEMBER_GROUP) == ip_bytes("239.3.0.1"));
  CHECK(all.back().bytes(UDPCR_MEMBER_GROUP) == ip_bytes("239.3.0.250"));
}

TEST_CASE("memberships: too large for a message: EMSGSIZE; in the dump, PARTIAL without them") {
  const Roomy roomy;
  const UniqueFd fd = socket_at(address("::"));
  const UniqueFd small = socket_at(address("::"));
  join(fd.get(), "ff05::3:1", "left");
  join(small.get(), "ff05::3:1", "left");
  // 16 bytes each: more than an attribute holds.
  filter(fd.get(), "ff05::3:1", "left", MCAST_INCLUDE, many(4200));
  Talk talk;
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SOCKET).socket(fd.get())), EMSGSIZE) == "");
  std::size_t seen = 0;
  for (const Message& one : talk.must_dump(Request(UDPCR_CMD_SOCKET))) {
    if (one.u64(UDPCR_A_INO) == inode_of(fd.get())) {
      CHECK((one.u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_PARTIAL) != 0);
      CHECK(one.nests(UDPCR_A_MEMBERSHIP).empty());
      CHECK(one.port(UDPCR_A_LOCAL_PORT) == local_of(fd.get()).port);
      ++seen;
    }
    if (one.u64(UDPCR_A_INO) == inode_of(small.get())) {
      CHECK((one.u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_PARTIAL) == 0);
      CHECK(one.nests(UDPCR_A_MEMBERSHIP).size() == 1);
      ++seen;
    }
  }
  CHECK(seen == 2);
}

TEST_CASE("memberships: a filter of 3,000 sources is told whole") {
  const Roomy roomy;
  const UniqueFd fd = socket_at(address("::"));
  join(fd.get(), "ff05::3:2", "left");
  filter(fd.get(), "ff05::3:2", "left", MCAST_INCLUDE, many(3000));
  const auto all = members(fd.get());
  REQUIRE(all.size() == 1);
  CHECK(all[0].bytes(UDPCR_MEMBER_SOURCES).size() == std::size_t{3000} * 16);
}
