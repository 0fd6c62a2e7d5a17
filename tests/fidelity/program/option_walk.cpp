// SPDX-License-Identifier: LGPL-2.1-or-later
//
// All option numbers of the kernel that runs: each that can be set has a row,
// or stands here with the reason why it is no state of the socket.
#include <netinet/udp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iostream>

#include "rows.hpp"

namespace fidelity {
namespace {

constexpr int kLast = 255;

struct Level {
  int number;
  const char* text;
};
constexpr Level kLevels[] = {{SOL_SOCKET, "SOL_SOCKET"},
                             {SOL_IP, "SOL_IP"},
                             {SOL_IPV6, "SOL_IPV6"},
                             {IPPROTO_UDP, "SOL_UDP"}};

struct Place {
  int level, first, last;
  const char* why;
};
constexpr Place kElsewhere[] = {
    {SOL_SOCKET, 14, 14, "SO_BSDCOMPAT does nothing"},
    {SOL_SOCKET, 25, 25, "SO_BINDTODEVICE: row address/device"},
    {SOL_SOCKET, 26, 27, "rows filter/"},
    {SOL_SOCKET, 44, 44, "SO_LOCK_FILTER: row filter/locked"},
    {SOL_SOCKET, 50, 52, "rows filter/ and reuseport/"},
    {SOL_SOCKET, 53, 53, "SO_CNX_ADVICE confirms a route"},
    {SOL_SOCKET, 62, 62, "SO_BINDTOIFINDEX is SO_BINDTODEVICE"},
    {SOL_SOCKET, 66, 67, "SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW are those without NEW"},
    {SOL_SOCKET, 68, 68, "SO_DETACH_REUSEPORT_BPF takes away"},
    {SOL_SOCKET, 70, 70, "SO_BUSY_POLL_BUDGET: nothing tells it (docs/fidelity.md)"},
    {SOL_SOCKET, 79, 80, "device memory, of TCP"},
    {SOL_IP, 5, 5, "IP_ROUTER_ALERT: raw sockets"},
    {SOL_IP, 16, 17, "rows option/XFRM_POLICY"},
    {SOL_IP, 32, 32, "IP_MULTICAST_IF: rows multicast/"},
    {SOL_IP, 35, 40, "memberships: rows multicast/"},
    {SOL_IP, 41, 48, "memberships: rows multicast/"},
    {SOL_IP, 50, 50, "IP_UNICAST_IF: row multicast/unicast_if"},
    {SOL_IP, 64, 99, "iptables, arptables: the namespace's"},
    {SOL_IP, 128, 131, "ebtables: the namespace's"},
    {SOL_IP, 200, 212, "multicast routing: the namespace's"},
    {SOL_IPV6, 1, 1, "IPV6_ADDRFORM: row address/addrform"},
    {SOL_IPV6, 6, 6, "IPV6_2292PKTOPTIONS: several of the others"},
    {SOL_IPV6, 17, 17, "IPV6_MULTICAST_IF: row multicast/if_by_index"},
    {SOL_IPV6, 20, 21, "memberships: rows multicast/"},
    {SOL_IPV6, 22, 22, "IPV6_ROUTER_ALERT: raw sockets"},
    {SOL_IPV6, 24, 24, "IPV6_MTU: row option/IPV6_MTU"},
    {SOL_IPV6, 26, 26, "IPV6_V6ONLY: row address/v6only"},
    {SOL_IPV6, 27, 28, "anycast: row multicast/anycast"},
    {SOL_IPV6, 30, 30, "IPV6_ROUTER_ALERT_ISOLATE: raw sockets"},
    {SOL_IPV6, 32, 32, "IPV6_FLOWLABEL_MGR: row option/IPV6_FLOWLABEL_MGR"},
    {SOL_IPV6, 34, 35, "rows option/XFRM_POLICY"},
    {SOL_IPV6, 42, 48, "memberships: rows multicast/"},
    {SOL_IPV6, 50, 50, "IPV6_PKTINFO: row option/IPV6_PKTINFO"},
    {SOL_IPV6, 64, 65, "ip6tables: the namespace's"},
    {SOL_IPV6, 76, 76, "IPV6_UNICAST_IF: row multicast/unicast_if"},
    {SOL_IPV6, 200, 212, "multicast routing: the namespace's"},
    {IPPROTO_UDP, 100, 100, "UDP_ENCAP: row refused/encapsulation"},
};

bool has_place(int level, int number) {
  return has_option_row(level, number) ||
         std::any_of(std::begin(kElsewhere), std::end(kElsewhere), [=](const Place& place) {
           return place.level == level && place.first <= number && number <= place.last;
         });
}

// Whether some length of value is refused for another reason than that there is
// no such option.
bool can_be_set(int family, int level, int number) {
  char value[256] = {1};
  for (const socklen_t size : {4U, 8U, 12U, 16U, 20U, 136U, 256U}) {
    const int fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket", errno);
    const int error = ::setsockopt(fd, level, number, value, size) == 0 ? 0 : errno;
    ::close(fd);
    if (error != ENOPROTOOPT && error != EOPNOTSUPP) return true;
  }
  return false;
}

}  // namespace

int walk_options() {
  int unknown = 0;
  int settable = 0;
  for (const int family : {AF_INET, AF_INET6}) {
    for (const Level& level : kLevels) {
      for (int number = 0; number <= kLast; ++number) {
        if (!can_be_set(family, level.number, number)) continue;
        ++settable;
        if (has_place(level.number, number)) continue;
        std::cout << "unknown " << level.text << "/" << number
                  << (family == AF_INET ? " of IPv4\n" : " of IPv6\n");
        ++unknown;
      }
    }
  }
  std::cout << "settable " << settable << '\n';
  return unknown == 0 ? 0 : 1;
}

}  // namespace fidelity
