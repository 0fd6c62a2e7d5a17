// SPDX-License-Identifier: LGPL-2.1-or-later
#include "route.hpp"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "errors.hpp"

namespace udpcr {
namespace {

short interface_flags(unsigned index) noexcept {
  ifreq request{};
  if (::if_indextoname(index, request.ifr_name) == nullptr) return 0;
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return ::ioctl(fd.get(), SIOCGIFFLAGS, &request) == 0 ? request.ifr_flags : short{0};
}

}  // namespace

Reach Routes::reach(const Address& address) {
  if (address.is_multicast()) return Reach::multicast;
  Address key = address;
  key.port = 0;
  for (const auto& [known, reach] : known_) {
    if (known == key) return reach;
  }
  const Reach answer = ask(key);
  known_.emplace_back(key, answer);
  return answer;
}

Reach Routes::ask(const Address& address) {
  static constexpr std::uint8_t kEverybody[4] = {255, 255, 255, 255};
  if (address.family == AF_INET && std::equal(kEverybody, kEverybody + 4, address.bytes)) {
    return Reach::broadcast;
  }
  if (!netlink_) {
    netlink_ = UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!netlink_) fail("open a NETLINK_ROUTE socket", errno, "let the sandbox allow AF_NETLINK");
  }
  const unsigned size = address.family == AF_INET ? 4 : 16;
  struct {
    nlmsghdr header;
    rtmsg route;
    std::uint8_t attributes[64];
  } request{};
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.route.rtm_family = static_cast<unsigned char>(address.family);
  request.route.rtm_dst_len = static_cast<unsigned char>(size * 8);
  unsigned used = 0;
  const auto add = [&](unsigned short type, const void* data, unsigned length) {
    rtattr attribute{};
    attribute.rta_type = type;
    attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(length));
    std::memcpy(request.attributes + used, &attribute, sizeof attribute);
    std::memcpy(request.attributes + used + RTA_LENGTH(0), data, length);
    used += static_cast<unsigned>(RTA_SPACE(length));
  };
  add(RTA_DST, address.bytes, size);
  if (address.scope != 0) add(RTA_OIF, &address.scope, sizeof address.scope);
  request.header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(sizeof request.route) + used);
  alignas(nlmsghdr) char answer[4096];
  ssize_t length = 0;
  if (::send(netlink_.get(), &request, request.header.nlmsg_len, 0) < 0 ||
      (length = ::recv(netlink_.get(), answer, sizeof answer, 0)) < 0) {
    fail("ask for the route to " + to_string(address), errno, "");
  }
  nlmsghdr header;
  std::memcpy(&header, answer, sizeof header);
  // An error means that there is no route: nobody's address.
  if (length < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(rtmsg))) ||
      header.nlmsg_type != RTM_NEWROUTE) {
    return Reach::elsewhere;
  }
  rtmsg route;
  std::memcpy(&route, answer + NLMSG_HDRLEN, sizeof route);
  if (route.rtm_type == RTN_LOCAL) return Reach::local;
  return route.rtm_type == RTN_BROADCAST ? Reach::broadcast : Reach::elsewhere;
}

unsigned interface_index(const std::string& name) noexcept {
  return ::if_nametoindex(name.c_str());
}

bool interface_is_up(unsigned index) noexcept { return (interface_flags(index) & IFF_UP) != 0; }

bool interface_is_loopback(unsigned index) noexcept {
  return (interface_flags(index) & IFF_LOOPBACK) != 0;
}

}  // namespace udpcr
