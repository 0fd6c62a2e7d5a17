// SPDX-License-Identifier: LGPL-2.1-or-later
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>
#include <sstream>

#include "socket_facts.hpp"

namespace udpcr {
namespace {

std::string read_whole(UniqueFd& file, const char* path) {
  if (!file) file = UniqueFd(::open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  char chunk[8192];
  ssize_t got = 0;
  while ((got = ::pread(file.get(), chunk, sizeof chunk, static_cast<off_t>(text.size()))) > 0) {
    text.append(chunk, static_cast<std::size_t>(got));
  }
  return text;
}

// getsockopt(MCAST_MSFILTER) succeeds for members only (net/ipv4/igmp.c,
// ip_mc_gsfget; net/ipv6/mcast.c, ip6_mc_msfget).
bool is_member(int fd, int level, unsigned interface, const void* address, socklen_t size) {
  group_filter filter{};
  filter.gf_interface = interface;
  std::memcpy(&filter.gf_group, address, size);
  socklen_t length = GROUP_FILTER_SIZE(0);
  return ::getsockopt(fd, level, MCAST_MSFILTER, &filter, &length) == 0;
}

std::string name_of(int family, const void* address, const std::string& interface) {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(family, address, text, sizeof text);
  return std::string(text) + " on " + interface;
}

}  // namespace

std::vector<std::string> Memberships::of(int fd, int family) {
  std::vector<std::string> found;
  std::string interface;
  unsigned index = 0;
  std::string line;
  // "2\teth0      :     2      V3", then "\t\t\t\tFB0000E0     1 0:00000000\t\t0":
  // the group as the machine's own integer (net/ipv4/igmp.c, igmp_mc_seq_show).
  for (std::istringstream lines(read_whole(igmp_, "/proc/net/igmp")); std::getline(lines, line);) {
    if (line.empty()) continue;
    if (line[0] != '\t') {
      char name[IF_NAMESIZE] = {};
      if (std::sscanf(line.c_str(), "%u %15[^ :\t]", &index, name) == 2) interface = name;
      continue;
    }
    sockaddr_in group{};
    group.sin_family = AF_INET;
    if (std::sscanf(line.c_str(), " %8x", &group.sin_addr.s_addr) == 1 &&
        is_member(fd, SOL_IP, index, &group, sizeof group)) {
      found.push_back(name_of(AF_INET, &group.sin_addr, interface));
    }
  }
  if (family != AF_INET6) return found;
  // "1    lo              ff020000000000000000000000000001     1 0000000C 0"
  for (std::istringstream lines(read_whole(igmp6_, "/proc/net/igmp6"));
       std::getline(lines, line);) {
    char name[IF_NAMESIZE] = {};
    char digits[33] = {};
    if (std::sscanf(line.c_str(), "%u %15s %32s", &index, name, digits) != 3) continue;
    sockaddr_in6 group{};
    group.sin6_family = AF_INET6;
    for (unsigned i = 0; i < 16; ++i) {
      unsigned byte = 0;
      if (std::sscanf(digits + std::size_t{2} * i, "%2x", &byte) != 1) break;
      group.sin6_addr.s6_addr[i] = static_cast<std::uint8_t>(byte);
    }
    if (is_member(fd, SOL_IPV6, index, &group, sizeof group)) {
      found.push_back(name_of(AF_INET6, &group.sin6_addr, name));
    }
  }
  return found;
}

}  // namespace udpcr
