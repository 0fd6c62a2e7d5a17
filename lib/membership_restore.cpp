// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A filter is set whole, by MCAST_MSFILTER: so its sources have the order that
// they had.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "errors.hpp"
#include "memberships.hpp"
#include "rights.hpp"
#include "route.hpp"

namespace udpcr {
namespace {

std::string ip_of(const Address& address) {
  Address bare = address;
  bare.port = 0;
  std::string text = to_string(bare);  // "192.0.2.1:0", "[::1]:0"
  text.resize(text.rfind(':'));
  if (text.front() == '[') text = text.substr(1, text.size() - 2);
  return text;
}

sockaddr_storage name_of(const Address& address) {
  socklen_t size = 0;
  return address.to_sockaddr(size);
}

int level_of(const Membership& member) {
  return member.group.family == AF_INET ? SOL_IP : SOL_IPV6;
}

// These return 0 or the errno.

int join_anycast(int fd, const Membership& member, unsigned interface) {
  ipv6_mreq request{};
  std::memcpy(&request.ipv6mr_multiaddr, member.group.bytes, sizeof request.ipv6mr_multiaddr);
  request.ipv6mr_interface = interface;
  return rights().setsockopt(fd, SOL_IPV6, IPV6_JOIN_ANYCAST, &request, sizeof request) == 0
             ? 0
             : errno;
}

int change(int fd, const Membership& member, unsigned interface, int option) {
  group_req request{};
  request.gr_interface = interface;
  request.gr_group = name_of(member.group);
  return rights().setsockopt(fd, level_of(member), option, &request, sizeof request) == 0 ? 0
                                                                                          : errno;
}

int join_source(int fd, const Membership& member, unsigned interface) {
  group_source_req request{};
  request.gsr_interface = interface;
  request.gsr_group = name_of(member.group);
  request.gsr_source = name_of(member.sources.front());
  return rights().setsockopt(fd, level_of(member), MCAST_JOIN_SOURCE_GROUP, &request,
                             sizeof request) == 0
             ? 0
             : errno;
}

int set_filter(int fd, const Membership& member, unsigned interface) {
  Bytes buffer(
      std::max<std::size_t>(GROUP_FILTER_SIZE(member.sources.size()), sizeof(group_filter)));
  group_filter filter{};
  filter.gf_interface = interface;
  filter.gf_group = name_of(member.group);
  filter.gf_fmode = member.mode;
  filter.gf_numsrc = static_cast<std::uint32_t>(member.sources.size());
  std::memcpy(buffer.data(), &filter, sizeof filter);
  for (std::size_t i = 0; i < member.sources.size(); ++i) {
    const sockaddr_storage source = name_of(member.sources[i]);
    std::memcpy(buffer.data() + GROUP_FILTER_SIZE(i), &source, sizeof source);
  }
  const auto size = static_cast<socklen_t>(GROUP_FILTER_SIZE(member.sources.size()));
  return rights().setsockopt(fd, level_of(member), MCAST_MSFILTER, buffer.data(), size) == 0
             ? 0
             : errno;
}

int join(int fd, const Membership& member, unsigned interface) {
  if (member.anycast) return join_anycast(fd, member, interface);
  if (member.mode == MCAST_INCLUDE) {
    // Nothing is included: no membership (RFC 3376, 3.1).
    if (member.sources.empty()) return 0;
    if (const int error = join_source(fd, member, interface)) return error;
    if (member.sources.size() == 1) return 0;
  } else {
    if (const int error = change(fd, member, interface, MCAST_JOIN_GROUP)) return error;
    if (member.sources.empty()) return 0;
  }
  const int error = set_filter(fd, member, interface);
  // Without its filter it would let in what the program does not want.
  if (error != 0) change(fd, member, interface, MCAST_LEAVE_GROUP);
  return error;
}

std::string remedy(const Membership& member, int error) {
  if (error == ENODEV) {
    return "create that interface first, or map it with UDPCR_MAP";
  }
  if (error == EPERM) return "run with CAP_NET_ADMIN";
  if (error != ENOBUFS) return "";
  if (member.group.family == AF_INET) {
    return "raise net.ipv4.igmp_max_memberships or net.ipv4.igmp_max_msf, or net.core.optmem_max";
  }
  return "raise net.ipv6.mld_max_msf or net.core.optmem_max";
}

}  // namespace

std::string describe(const Membership& member) {
  std::string text =
      "member of " + ip_of(member.group) + " on " +
      (member.device.empty() ? "interface " + std::to_string(member.ifindex) : member.device);
  if (member.anycast) text += " (anycast)";
  if (!member.sources.empty()) {
    text += member.mode == MCAST_INCLUDE ? ", for " : ", but for ";
    text += std::to_string(member.sources.size()) + " sources";
  }
  return text;
}

void join_groups(int fd, const std::vector<Membership>& groups, std::vector<Loss>& losses) {
  for (const Membership& member : groups) {
    const unsigned interface = member.device.empty() ? 0 : interface_index(member.device);
    const int error = interface == 0 ? ENODEV : join(fd, member, interface);
    if (error == 0) continue;
    losses.push_back({member.anycast ? "anycast" : "membership",
                      "it was a " + describe(member) + ": " + errno_text(error),
                      remedy(member, error)});
  }
}

}  // namespace udpcr
