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

// Reads the file again; false: it says what it said before.
bool reread(UniqueFd& file, const char* path, std::string& text) {
  if (!file) file = UniqueFd(::open(path, O_RDONLY | O_CLOEXEC));
  std::string now;
  char chunk[8192];
  ssize_t got = 0;
  while ((got = ::pread(file.get(), chunk, sizeof chunk, static_cast<off_t>(now.size()))) > 0) {
    now.append(chunk, static_cast<std::size_t>(got));
  }
  if (now == text) return false;
  text = std::move(now);
  return true;
}

// getsockopt(MCAST_MSFILTER) succeeds for members only (net/ipv4/igmp.c,
// ip_mc_gsfget; net/ipv6/mcast.c, ip6_mc_msfget).
bool is_member(int fd, int level, const Group& group) {
  group_filter filter{};
  filter.gf_interface = group.interface;
  std::memcpy(&filter.gf_group, &group.address, group.size);
  socklen_t length = GROUP_FILTER_SIZE(0);
  return ::getsockopt(fd, level, MCAST_MSFILTER, &filter, &length) == 0;
}

template <typename Sockaddr>
Group make_group(const Sockaddr& name, const void* address, unsigned interface,
                 const char* interface_name) {
  Group group;
  std::memcpy(&group.address, &name, sizeof name);
  group.size = sizeof name;
  group.interface = interface;
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(group.address.ss_family, address, text, sizeof text);
  group.name = std::string(text) + " on " + interface_name;
  return group;
}

// "2\teth0      :     2      V3", then "\t\t\t\tFB0000E0     1 0:00000000\t\t0":
// the group as the machine's own integer (net/ipv4/igmp.c, igmp_mc_seq_show).
std::vector<Group> parse_igmp(const std::string& text) {
  std::vector<Group> groups;
  char interface[IF_NAMESIZE] = {};
  unsigned index = 0;
  std::string line;
  for (std::istringstream lines(text); std::getline(lines, line);) {
    if (line.empty()) continue;
    if (line[0] != '\t') {
      std::sscanf(line.c_str(), "%u %15[^ :\t]", &index, interface);
      continue;
    }
    sockaddr_in name{};
    name.sin_family = AF_INET;
    if (std::sscanf(line.c_str(), " %8x", &name.sin_addr.s_addr) != 1) continue;
    groups.push_back(make_group(name, &name.sin_addr, index, interface));
  }
  return groups;
}

// "1    lo              ff020000000000000000000000000001     1 0000000C 0"
std::vector<Group> parse_igmp6(const std::string& text) {
  std::vector<Group> groups;
  std::string line;
  for (std::istringstream lines(text); std::getline(lines, line);) {
    unsigned index = 0;
    char interface[IF_NAMESIZE] = {};
    char digits[33] = {};
    if (std::sscanf(line.c_str(), "%u %15s %32s", &index, interface, digits) != 3) continue;
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    for (std::size_t i = 0; i < 16; ++i) {
      unsigned byte = 0;
      if (std::sscanf(digits + 2 * i, "%2x", &byte) != 1) break;
      name.sin6_addr.s6_addr[i] = static_cast<std::uint8_t>(byte);
    }
    groups.push_back(make_group(name, &name.sin6_addr, index, interface));
  }
  return groups;
}

}  // namespace

std::vector<std::string> Memberships::of(int fd, int family) {
  std::vector<std::string> found;
  const auto look = [&](const Table& table, int level) {
    for (const Group& group : table.groups) {
      if (is_member(fd, level, group)) found.push_back(group.name);
    }
  };
  if (reread(ipv4_.file, "/proc/net/igmp", ipv4_.text)) ipv4_.groups = parse_igmp(ipv4_.text);
  look(ipv4_, SOL_IP);
  if (family != AF_INET6) return found;
  if (reread(ipv6_.file, "/proc/net/igmp6", ipv6_.text)) ipv6_.groups = parse_igmp6(ipv6_.text);
  look(ipv6_, SOL_IPV6);
  return found;
}

}  // namespace udpcr
