// SPDX-License-Identifier: LGPL-2.1-or-later
#include "memberships.hpp"

#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "errors.hpp"
#include "persist.hpp"
#include "rights.hpp"

namespace udpcr {
namespace {

// Reads the file again; false: it says what it said before.
bool reread(UniqueFd& file, const char* name, std::string& text) {
  if (!file) {
    file = UniqueFd(persist([name] { return rights().open_proc_net(name); }));
    // A kernel without multicast, or a sandbox without /proc.
    if (!file && errno == ENOENT) return false;
    if (!file) fail(std::string("read /proc/net/") + name, errno, "");
  }
  std::string now;
  char chunk[8192];
  for (;;) {
    const ssize_t got = persist(
        [&] { return ::pread(file.get(), chunk, sizeof chunk, static_cast<off_t>(now.size())); });
    if (got < 0) fail(std::string("read /proc/net/") + name, errno, "");
    if (got == 0) break;
    now.append(chunk, static_cast<std::size_t>(got));
  }
  if (now == text) return false;
  text = std::move(now);
  return true;
}

// Each interface's groups stand newest first (net/ipv4/igmp.c,
// ____ip_mc_inc_group; net/ipv6/mcast.c, __ipv6_dev_mc_inc).
void oldest_first(std::vector<Membership>& groups) {
  std::reverse(groups.begin(), groups.end());
  std::stable_sort(
      groups.begin(), groups.end(),
      [](const Membership& one, const Membership& other) { return one.ifindex < other.ifindex; });
}

// "2\teth0      :     2      V3", then "\t\t\t\tFB0000E0     1 0:00000000\t\t0":
// the group as the machine's own integer (net/ipv4/igmp.c, igmp_mc_seq_show).
std::vector<Membership> parse_igmp(const std::string& text) {
  std::vector<Membership> groups;
  char interface[IF_NAMESIZE] = {};
  unsigned index = 0;
  std::string line;
  for (std::istringstream lines(text); std::getline(lines, line);) {
    if (line.empty()) continue;
    if (line[0] != '\t') {
      std::sscanf(line.c_str(), "%u %15[^ :\t]", &index, interface);
      continue;
    }
    Membership member;
    unsigned group = 0;
    if (std::sscanf(line.c_str(), " %8x", &group) != 1) continue;
    member.group.family = AF_INET;
    std::memcpy(member.group.bytes, &group, sizeof group);
    member.ifindex = index;
    member.device = interface;
    groups.push_back(std::move(member));
  }
  oldest_first(groups);
  return groups;
}

// "1    lo              ff020000000000000000000000000001     1 0000000C 0";
// /proc/net/anycast6 begins alike.
std::vector<Membership> parse_ipv6(const std::string& text) {
  std::vector<Membership> groups;
  std::string line;
  for (std::istringstream lines(text); std::getline(lines, line);) {
    unsigned index = 0;
    char interface[IF_NAMESIZE] = {};
    char digits[33] = {};
    if (std::sscanf(line.c_str(), "%u %15s %32s", &index, interface, digits) != 3) continue;
    Membership member;
    member.group.family = AF_INET6;
    for (std::size_t i = 0; i < 16; ++i) {
      unsigned byte = 0;
      if (std::sscanf(digits + 2 * i, "%2x", &byte) != 1) break;
      member.group.bytes[i] = static_cast<std::uint8_t>(byte);
    }
    member.ifindex = index;
    member.device = interface;
    groups.push_back(std::move(member));
  }
  oldest_first(groups);
  return groups;
}

// getsockopt(MCAST_MSFILTER) succeeds for members only (net/ipv4/igmp.c,
// ip_mc_gsfget; net/ipv6/mcast.c, ip6_mc_msfget).
bool read_filter(int fd, Membership& member) {
  const int level = member.group.family == AF_INET ? SOL_IP : SOL_IPV6;
  Bytes buffer;
  group_filter filter{};
  for (std::size_t room = 0;; room = filter.gf_numsrc) {
    buffer.assign(std::max<std::size_t>(GROUP_FILTER_SIZE(room), sizeof filter), 0);
    socklen_t name_size = 0;
    filter = {};
    filter.gf_interface = member.ifindex;
    filter.gf_group = member.group.to_sockaddr(name_size);
    filter.gf_numsrc = static_cast<std::uint32_t>(room);
    std::memcpy(buffer.data(), &filter, sizeof filter);
    auto size = static_cast<socklen_t>(GROUP_FILTER_SIZE(room));
    const auto ask = [&] { return ::getsockopt(fd, level, MCAST_MSFILTER, buffer.data(), &size); };
    if (persist(ask) != 0) {
      if (errno == EADDRNOTAVAIL || errno == ENODEV || errno == EINVAL) return false;
      fail("read whether fd " + std::to_string(fd) + " is a " + describe(member), errno, "");
    }
    std::memcpy(&filter, buffer.data(), sizeof filter);
    if (filter.gf_numsrc <= room) break;
  }
  member.mode = filter.gf_fmode;
  member.sources.clear();
  for (std::size_t i = 0; i < filter.gf_numsrc; ++i) {
    sockaddr_storage source{};
    std::memcpy(&source, buffer.data() + GROUP_FILTER_SIZE(i), sizeof source);
    member.sources.push_back(Address::from_sockaddr(source));
    member.sources.back().port = 0;
    member.sources.back().scope = 0;
  }
  return true;
}

// The kernel gives each router the address of its subnet, with a host part of 0
// (RFC 4291, 2.6.1).
bool is_subnet_router(const Address& address) {
  return std::all_of(address.bytes + 8, address.bytes + 16,
                     [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

std::vector<Membership> Memberships::of(int fd, int family, std::vector<Loss>& losses) {
  std::vector<Membership> found;
  const auto look = [&](const Table& table) {
    for (const Membership& group : table.groups) {
      Membership member = group;
      if (read_filter(fd, member)) found.push_back(std::move(member));
    }
  };
  if (reread(ipv4_.file, "igmp", ipv4_.text)) ipv4_.groups = parse_igmp(ipv4_.text);
  look(ipv4_);
  if (family != AF_INET6) return found;
  if (reread(ipv6_.file, "igmp6", ipv6_.text)) ipv6_.groups = parse_ipv6(ipv6_.text);
  look(ipv6_);
  if (reread(anycast_.file, "anycast6", anycast_.text)) {
    anycast_.groups = parse_ipv6(anycast_.text);
  }
  for (Membership& member : anycast_.groups) {
    if (is_subnet_router(member.group)) continue;
    member.anycast = true;
    losses.push_back({"anycast",
                      "the kernel does not tell whether this socket is a " + describe(member),
                      "load the kernel module, which tells it"});
  }
  return found;
}

}  // namespace udpcr
