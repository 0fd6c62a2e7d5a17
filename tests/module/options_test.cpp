// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The module's options beside what getsockopt gives for the same socket.
#include "options.hpp"

#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <map>

#include "kernel_numbers.hpp"
#include "network.hpp"
#include "support.hpp"
#include "talk.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

using Options = std::map<std::pair<int, int>, Bytes>;

Options options_of(const Message& record) {
  Options all;
  for (const Attrs& one : record.nests(UDPCR_A_OPTION)) {
    const std::pair<int, int> key(one.u32(UDPCR_OPT_LEVEL), one.u32(UDPCR_OPT_NAME));
    INFO(option_name(key.first, key.second) << " " << key.first << "/" << key.second);
    CHECK(all.emplace(key, one.bytes(UDPCR_OPT_VALUE)).second);
  }
  return all;
}

// Every option that the module gives and getsockopt has is the same, in value
// and length.  Returns how many.
std::size_t compare(int fd, const Options& options) {
  std::size_t same = 0;
  for (const auto& [key, value] : options) {
    const auto asked = read_option(fd, key.first, key.second);
    if (!asked) continue;
    INFO(option_name(key.first, key.second) << " " << key.first << "/" << key.second);
    if (key == std::pair(SOL_IP, IP_MULTICAST_IF)) {
      // The module tells the index too: struct ip_mreqn, whose address
      // getsockopt gives alone.
      REQUIRE(value.size() == sizeof(ip_mreqn));
      const auto address = value.begin() + offsetof(ip_mreqn, imr_address);
      CHECK(Bytes(address, address + 4) == *asked);
    } else {
      CHECK(value == *asked);
    }
    ++same;
  }
  return same;
}

struct Change {
  int level, name, value;
};
// Values that differ from a fresh socket's.
constexpr Change kChanges[] = {
    {SOL_SOCKET, SO_REUSEADDR, 1},
    {SOL_SOCKET, SO_REUSEPORT, 1},
    {SOL_SOCKET, SO_BROADCAST, 1},
    {SOL_SOCKET, SO_RCVBUF, 50000},
    {SOL_SOCKET, SO_SNDBUF, 60000},
    {SOL_SOCKET, SO_RCVLOWAT, 7},
    {SOL_SOCKET, SO_DONTROUTE, 1},
    {SOL_SOCKET, SO_KEEPALIVE, 1},
    {SOL_SOCKET, SO_OOBINLINE, 1},
    {SOL_SOCKET, SO_NO_CHECK, 1},
    {SOL_SOCKET, SO_TIMESTAMPNS, 1},
    {SOL_SOCKET, SO_RXQ_OVFL, 1},
    {SOL_SOCKET, SO_WIFI_STATUS, 1},
    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1},
    {SOL_SOCKET, SO_BUSY_POLL, 25},
    {SOL_SOCKET, kSoPreferBusyPoll, 1},
    {SOL_SOCKET, SO_ZEROCOPY, 1},
    {SOL_SOCKET, kSoTxrehash, 0},
    {SOL_SOCKET, kSoRcvmark, 1},
    {SOL_SOCKET, SO_MARK, 99},
    {SOL_SOCKET, SO_PASSCRED, 1},
    {SOL_SOCKET, SO_PASSSEC, 1},
    {SOL_SOCKET, SO_PEEK_OFF, 0},
    {SOL_IP, IP_TOS, 0x48},
    {SOL_SOCKET, SO_PRIORITY, 5},
    {SOL_IP, IP_TTL, 33},
    {SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE},
    {SOL_IP, IP_RECVERR, 1},
    {SOL_IP, kIpRecverrRfc4884, 1},
    {SOL_IP, IP_PKTINFO, 1},
    {SOL_IP, IP_RECVTTL, 1},
    {SOL_IP, IP_RECVTOS, 1},
    {SOL_IP, IP_RECVOPTS, 1},
    {SOL_IP, IP_RETOPTS, 1},
    {SOL_IP, IP_PASSSEC, 1},
    {SOL_IP, IP_RECVORIGDSTADDR, 1},
    {SOL_IP, IP_CHECKSUM, 1},
    {SOL_IP, kIpRecvfragsize, 1},
    {SOL_IP, IP_FREEBIND, 1},
    {SOL_IP, IP_TRANSPARENT, 1},
    {SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1},
    {SOL_IP, IP_MINTTL, 3},
    {SOL_IP, IP_MULTICAST_TTL, 9},
    {SOL_IP, IP_MULTICAST_LOOP, 0},
    {SOL_IP, IP_MULTICAST_ALL, 0},
    {SOL_UDP, UDP_NO_CHECK6_TX, 1},
    {SOL_UDP, UDP_NO_CHECK6_RX, 1},
    {SOL_UDP, kUdpSegment, 1200},
    {SOL_UDP, kUdpGro, 1},
};
constexpr Change kChanges6[] = {
    {SOL_IPV6, IPV6_V6ONLY, 1},           {SOL_IPV6, IPV6_UNICAST_HOPS, 44},
    {SOL_IPV6, IPV6_TCLASS, 0x24},        {SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE},
    {SOL_IPV6, IPV6_RECVERR, 1},          {SOL_IPV6, kIpv6RecverrRfc4884, 1},
    {SOL_IPV6, IPV6_RECVPKTINFO, 1},      {SOL_IPV6, IPV6_2292PKTINFO, 1},
    {SOL_IPV6, IPV6_RECVHOPLIMIT, 1},     {SOL_IPV6, IPV6_2292HOPLIMIT, 1},
    {SOL_IPV6, IPV6_RECVTCLASS, 1},       {SOL_IPV6, IPV6_RECVRTHDR, 1},
    {SOL_IPV6, IPV6_2292RTHDR, 1},        {SOL_IPV6, IPV6_RECVHOPOPTS, 1},
    {SOL_IPV6, IPV6_2292HOPOPTS, 1},      {SOL_IPV6, IPV6_RECVDSTOPTS, 1},
    {SOL_IPV6, IPV6_2292DSTOPTS, 1},      {SOL_IPV6, kIpv6Flowinfo, 1},
    {SOL_IPV6, kIpv6FlowinfoSend, 1},     {SOL_IPV6, IPV6_RECVPATHMTU, 1},
    {SOL_IPV6, kIpv6Recvorigdstaddr, 1},  {SOL_IPV6, kIpv6Recvfragsize, 1},
    {SOL_IPV6, IPV6_DONTFRAG, 1},         {SOL_IPV6, IPV6_AUTOFLOWLABEL, 0},
    {SOL_IPV6, kIpv6Freebind, 1},         {SOL_IPV6, IPV6_MINHOPCOUNT, 4},
    {SOL_IPV6, IPV6_ADDR_PREFERENCES, 2}, {SOL_IPV6, IPV6_MULTICAST_HOPS, 11},
    {SOL_IPV6, IPV6_MULTICAST_LOOP, 0},   {SOL_IPV6, kIpv6MulticastAll, 0},
};

// Sets all of them; an option that this kernel does not have is passed over.
std::size_t change(int fd, std::span<const Change> changes) {
  std::size_t changed = 0;
  for (const Change& one : changes) {
    const int error = write_number(fd, one.level, one.name, one.value);
    INFO(option_name(one.level, one.name) << ": " << std::strerror(error));
    CHECK((error == 0 || error == ENOPROTOOPT || error == EOPNOTSUPP));
    if (error == 0) ++changed;
  }
  return changed;
}

}  // namespace

TEST_CASE("options: a fresh socket's are what getsockopt says", "[smoke]") {
  const int family = GENERATE(AF_INET, AF_INET6);
  const UniqueFd fd = unbound(family);
  const Options options = options_of(Talk().record(fd.get()));
  // Some 20 at least are readable by exported means.
  CHECK(compare(fd.get(), options) >= 20);
}

TEST_CASE("options: a changed socket's are what getsockopt says", "[smoke]") {
  const int family = GENERATE(AF_INET, AF_INET6);
  const UniqueFd fd = unbound(family);
  Talk talk;
  const Options fresh = options_of(talk.record(fd.get()));
  Options read_fresh;
  for (const auto& [key, value] : fresh) {
    if (const auto asked = read_option(fd.get(), key.first, key.second)) read_fresh[key] = *asked;
  }
  CHECK(change(fd.get(), kChanges) >= 40);
  if (family == AF_INET6) CHECK(change(fd.get(), kChanges6) >= 28);
  const Options changed = options_of(talk.record(fd.get()));
  compare(fd.get(), changed);
  // Each option that was changed and that the module tells is told changed.
  std::size_t told = 0;
  const auto look = [&](std::span<const Change> changes) {
    for (const Change& one : changes) {
      const auto now = changed.find({one.level, one.name});
      const auto asked = read_option(fd.get(), one.level, one.name);
      // Some are no news: an IPv6 socket has IP_MULTICAST_ALL off from the start.
      if (now == changed.end() || read_fresh[now->first] == asked) continue;
      const auto before = fresh.find(now->first);
      INFO(option_name(one.level, one.name));
      CHECK((before == fresh.end() || before->second != now->second));
      ++told;
    }
  };
  look(kChanges);
  if (family == AF_INET6) look(kChanges6);
  CHECK(told >= 20);
}

TEST_CASE("options: structures, and those that take more than a number") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  const timeval time{3, 500000};
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0);
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0);
  const linger stay{1, 5};
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &stay, sizeof stay) == 0);
  const std::uint64_t rate = 1234567;
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof rate) == 0);
  const ip_mreqn out{{}, {}, static_cast<int>(index_of("left"))};
  REQUIRE(::setsockopt(fd.get(), SOL_IP, IP_MULTICAST_IF, &out, sizeof out) == 0);
  const std::uint32_t unicast = htonl(index_of("left"));
  REQUIRE(::setsockopt(fd.get(), SOL_IP, IP_UNICAST_IF, &unicast, sizeof unicast) == 0);
  if (v6) {
    set(fd.get(), SOL_IPV6, IPV6_MULTICAST_IF, static_cast<int>(index_of("left")));
    REQUIRE(::setsockopt(fd.get(), SOL_IPV6, IPV6_UNICAST_IF, &unicast, sizeof unicast) == 0);
  }
  const Options options = options_of(Talk().record(fd.get()));
  CHECK(compare(fd.get(), options) >= 20);
  // What getsockopt does not tell.
  const Bytes& told = options.at({SOL_IP, IP_MULTICAST_IF});
  int index = 0;
  std::memcpy(&index, told.data() + offsetof(ip_mreqn, imr_ifindex), sizeof index);
  CHECK(index == out.imr_ifindex);
}

TEST_CASE("options: UDP-Lite's coverage, where the kernel has it") {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE));
  if (!fd) {
    CHECK(errno == EPROTONOSUPPORT);  // gone since 7.1
    return;
  }
  set(fd.get(), SOL_UDP, kUdpliteSendCscov, 20);
  set(fd.get(), SOL_UDP, kUdpliteRecvCscov, 12);
  CHECK(compare(fd.get(), options_of(Talk().record(fd.get()))) >= 20);
}

TEST_CASE("options: reading them changes nothing", "[smoke]") {
  const int family = GENERATE(AF_INET, AF_INET6);
  const UniqueFd fd = unbound(family);
  change(fd.get(), kChanges);
  std::vector<std::optional<Bytes>> before;
  for (const OptionRow& row : option_table())
    before.push_back(read_option(fd.get(), row.level, row.name));
  (void)Talk().record(fd.get());
  std::size_t i = 0;
  for (const OptionRow& row : option_table()) {
    INFO(row.text);
    CHECK(before[i++] == read_option(fd.get(), row.level, row.name));
  }
}
