// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <set>

#include "kernel_numbers.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// Sets a value that a fresh socket does not have; false when the option does
// not exist here or takes no other value.
bool make_different(int fd, const OptionRow& row) {
  const auto fresh = read_option(fd, row.level, row.name);
  if (!fresh) return false;
  if (row.level == SOL_SOCKET && (row.name == SO_RCVTIMEO || row.name == SO_SNDTIMEO)) {
    const timeval time{3, 500000};
    return ::setsockopt(fd, row.level, row.name, &time, sizeof time) == 0;
  }
  if (row.kind == OptionKind::bytes) return false;
  const int now = read_number(fd, row.level, row.name).value_or(0);
  for (const int value : {now == 1 ? 0 : 1, 2, 3, 100, 4608, 50000}) {
    if (write_number(fd, row.level, row.name, value) == 0 &&
        read_option(fd, row.level, row.name) != fresh) {
      return true;
    }
  }
  return false;
}

struct NotInTable {
  int level;
  int first;
  int last;
  const char* why;
};

// What setsockopt(2) knows on a UDP socket and is no option of the table.
constexpr NotInTable kNotInTable[] = {
    {SOL_SOCKET, 14, 14, "SO_BSDCOMPAT does nothing"},
    {SOL_SOCKET, SO_BINDTODEVICE, SO_BINDTODEVICE, "SocketRecord::device"},
    {SOL_SOCKET, SO_ATTACH_FILTER, SO_DETACH_FILTER, "attached_filters.hpp"},
    {SOL_SOCKET, SO_SNDBUFFORCE, SO_RCVBUFFORCE, "SO_SNDBUF, SO_RCVBUF"},
    {SOL_SOCKET, SO_INCOMING_CPU, SO_INCOMING_CPU, "each datagram changes it"},
    {SOL_SOCKET, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF, "attached_filters.hpp"},
    {SOL_SOCKET, 53, 53, "SO_CNX_ADVICE is about the neighbour"},
    {SOL_SOCKET, 62, 62, "SO_BINDTOIFINDEX: SocketRecord::device"},
    {SOL_SOCKET, 66, 67, "SO_RCVTIMEO, SO_SNDTIMEO in another form"},
    {SOL_SOCKET, 68, 68, "SO_DETACH_REUSEPORT_BPF"},
    {SOL_SOCKET, 80, 80, "SO_DEVMEM_DONTNEED gives memory back, of TCP"},
    {SOL_IP, 5, 5, "IP_ROUTER_ALERT: raw sockets only"},
    {SOL_IP, 16, 17, "IPsec policies: a limit of both engines"},
    {SOL_IP, IP_ADD_MEMBERSHIP, MCAST_MSFILTER, "memberships.hpp"},
    {SOL_IP, 64, 127, "tables of the packet filter"},
    {SOL_IPV6, 1, 1, "IPV6_ADDRFORM makes it an IPv4 socket"},
    {SOL_IPV6, 6, 6, "IPV6_2292PKTOPTIONS: sets several others"},
    {SOL_IPV6, IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP, "memberships.hpp"},
    {SOL_IPV6, IPV6_JOIN_ANYCAST, IPV6_LEAVE_ANYCAST, "memberships.hpp"},
    {SOL_IPV6, 32, 32, "IPV6_FLOWLABEL_MGR: a limit of both engines"},
    {SOL_IPV6, 34, 35, "IPsec policies: a limit of both engines"},
    {SOL_IPV6, MCAST_JOIN_GROUP, MCAST_MSFILTER, "memberships.hpp"},
    {SOL_IPV6, 64, 65, "tables of the packet filter"},
    {SOL_UDP, kUdpEncap, kUdpEncap, "named"},
};

bool is_not_in_table(int level, int name) {
  return std::any_of(std::begin(kNotInTable), std::end(kNotInTable), [&](const NotInTable& known) {
    return known.level == level && known.first <= name && name <= known.last;
  });
}

}  // namespace

TEST_CASE("every option number that this kernel takes is known") {
  const int family = GENERATE(AF_INET, AF_INET6);
  std::size_t taken = 0;
  for (const int level : {SOL_SOCKET, SOL_IP, SOL_IPV6, SOL_UDP}) {
    for (int name = 0; name < 256; ++name) {
      const UniqueFd fd = unbound(family);
      const int error = write_number(fd.get(), level, name, 1);
      if (error == ENOPROTOOPT || error == EOPNOTSUPP) continue;
      ++taken;
      INFO("level " << level << ", option " << name << ", errno " << error);
      CHECK((find_option(level, name) != nullptr || is_not_in_table(level, name)));
    }
  }
  CHECK(taken > 90);
}

TEST_CASE("every option of the table goes round, one by one") {
  const int family = GENERATE(AF_INET, AF_INET6);
  const auto engine = engine_under_test();
  std::set<std::string> tried;
  for (const OptionRow& row : option_table()) {
    if (!applies(row, family, IPPROTO_UDP)) continue;
    const UniqueFd fd = unbound(family);
    if (!make_different(fd.get(), row)) continue;
    tried.insert(row.text);
    const SocketState state = engine->capture(fd.get(), {});
    const Restored restored = engine->restore(state, {});
    INFO(row.text << "\n" << list(restored.losses));
    CHECK(restored.losses.empty());
    for (const OptionRow& other : option_table()) {
      INFO(other.text);
      CHECK(read_option(restored.fd.get(), other.level, other.name) ==
            read_option(fd.get(), other.level, other.name));
    }
  }
  for (const char* must :
       {"SO_RCVBUF",          "SO_SNDBUF",        "SO_REUSEADDR",   "SO_REUSEPORT",
        "SO_BROADCAST",       "SO_RCVTIMEO",      "SO_SNDTIMEO",    "SO_TIMESTAMP",
        "SO_TIMESTAMPNS",     "SO_TIMESTAMPING",  "SO_PRIORITY",    "SO_MARK",
        "SO_RXQ_OVFL",        "IP_TTL",           "IP_TOS",         "IP_PKTINFO",
        "IP_RECVERR",         "IP_MTU_DISCOVER",  "IP_RECVTOS",     "IP_RECVTTL",
        "IP_RECVORIGDSTADDR", "IP_FREEBIND",      "IP_TRANSPARENT", "IP_MULTICAST_TTL",
        "IP_MULTICAST_LOOP",  "IP_MULTICAST_ALL", "UDP_GRO",        "UDP_SEGMENT",
        "UDP_CORK",           "SO_BUF_LOCK",      "SO_PEEK_OFF"}) {
    INFO(must);
    CHECK(tried.count(must) == 1);
  }
  if (family == AF_INET) return;
  for (const char* must : {"IPV6_V6ONLY", "IPV6_UNICAST_HOPS", "IPV6_TCLASS", "IPV6_RECVPKTINFO",
                           "IPV6_RECVERR", "IPV6_MTU_DISCOVER", "IPV6_MULTICAST_HOPS",
                           "IPV6_MULTICAST_LOOP", "IPV6_RECVHOPLIMIT", "IPV6_RECVTCLASS"}) {
    INFO(must);
    CHECK(tried.count(must) == 1);
  }
}

TEST_CASE("only options that differ from a fresh socket's are recorded") {
  const UniqueFd fd = unbound(AF_INET6);
  const auto engine = engine_under_test();
  CHECK(engine->capture(fd.get(), {}).record.options.empty());
  set(fd.get(), SOL_IP, IP_TTL, 7);
  const auto options = engine->capture(fd.get(), {}).record.options;
  REQUIRE(options.size() == 1);
  CHECK(std::string(option_name(options[0].level, options[0].name)) == "IP_TTL");
}

TEST_CASE("an option that sets another one leaves it right") {
  const UniqueFd fd = unbound(AF_INET);
  set(fd.get(), SOL_IP, IP_TOS, 0xb8);
  set(fd.get(), SOL_SOCKET, SO_PRIORITY, 0);
  const auto engine = engine_under_test();
  const Restored restored = engine->restore(engine->capture(fd.get(), {}), {});
  CHECK(get(restored.fd.get(), SOL_IP, IP_TOS) == 0xb8);
  CHECK(get(restored.fd.get(), SOL_SOCKET, SO_PRIORITY) == 0);
}

TEST_CASE("the buffer sizes are exact with a queue in between, locked and not") {
  const auto engine = engine_under_test();
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const bool locked = GENERATE(false, true);
  if (locked) set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 40 << 20);
  send_to(unbound(AF_INET).get(), local_of(fd.get()), "x");
  SocketState state = engine->capture(fd.get(), {});
  state.record.local.port = free_port();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  for (const int name : {SO_RCVBUF, SO_SNDBUF, kSoBufLock}) {
    CHECK(get(restored.fd.get(), SOL_SOCKET, name) == get(fd.get(), SOL_SOCKET, name));
  }
}

TEST_CASE("an option of a later version is named") {
  SocketState state = state_of(address("127.0.0.1", free_port()), {});
  state.record.options.push_back({SOL_SOCKET, 4000, Bytes{1, 0, 0, 0}});
  const Restored restored = engine_under_test()->restore(state, {});
  CHECK(names(restored.losses, "option 1/4000"));
}

TEST_CASE("restore_options off leaves options alone") {
  SocketState state = state_of(address("127.0.0.1", free_port()), {});
  state.record.options.push_back({SOL_IP, IP_TTL, Bytes{7, 0, 0, 0}});
  const Restored restored = engine_under_test()->restore(state, {false, true});
  CHECK(get(restored.fd.get(), SOL_IP, IP_TTL) == 64);
}
