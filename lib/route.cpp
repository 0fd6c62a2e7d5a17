// SPDX-License-Identifier: LGPL-2.1-or-later
#include "route.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "errors.hpp"
#include "persist.hpp"
#include "rights.hpp"

namespace udpcr {
namespace {

// `question`: SIOCGIF*.
bool ask_interface(unsigned index, unsigned long question, ifreq& request) noexcept {
  const UniqueFd fd(rights().socket(AF_INET, SOCK_DGRAM, 0));
  request.ifr_ifindex = static_cast<int>(index);
  return ::ioctl(fd.get(), SIOCGIFNAME, &request) == 0 &&
         ::ioctl(fd.get(), question, &request) == 0;
}

short interface_flags(unsigned index) noexcept {
  ifreq request{};
  return ask_interface(index, SIOCGIFFLAGS, request) ? request.ifr_flags : short{0};
}

// `message`: behind the header of RTM_NEWADDR.
void add_address(ByteView message, std::vector<std::pair<Address, unsigned>>& found) {
  ifaddrmsg head{};
  if (message.size() < sizeof head) return;
  std::memcpy(&head, message.data(), sizeof head);
  const std::size_t size = head.ifa_family == AF_INET ? 4 : 16;
  if (head.ifa_family != AF_INET && head.ifa_family != AF_INET6) return;
  Address address;
  address.family = head.ifa_family;
  bool is_local = false;
  for (ByteView rest = message.subspan(sizeof head); rest.size() >= sizeof(rtattr);) {
    rtattr attribute{};
    std::memcpy(&attribute, rest.data(), sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > rest.size()) break;
    // Of a point-to-point interface IFA_ADDRESS is the other end's.
    const bool usable =
        attribute.rta_type == IFA_LOCAL || (attribute.rta_type == IFA_ADDRESS && !is_local);
    if (usable && attribute.rta_len == RTA_LENGTH(size)) {
      std::memcpy(address.bytes, rest.data() + RTA_LENGTH(0), size);
      is_local = attribute.rta_type == IFA_LOCAL;
    }
    rest = rest.subspan(std::min<std::size_t>(RTA_ALIGN(attribute.rta_len), rest.size()));
  }
  found.emplace_back(address, head.ifa_index);
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
    netlink_ = UniqueFd(rights().socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
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
  if (persist([&] { return ::send(netlink_.get(), &request, request.header.nlmsg_len, 0); }) < 0 ||
      (length = persist([&] { return ::recv(netlink_.get(), answer, sizeof answer, 0); })) < 0) {
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
  ifreq request{};
  if (name.size() >= sizeof request.ifr_name) return 0;
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  const UniqueFd fd(rights().socket(AF_INET, SOCK_DGRAM, 0));
  if (::ioctl(fd.get(), SIOCGIFINDEX, &request) != 0) return 0;
  return static_cast<unsigned>(request.ifr_ifindex);
}

unsigned interface_mtu(unsigned index) noexcept {
  ifreq request{};
  return ask_interface(index, SIOCGIFMTU, request) ? static_cast<unsigned>(request.ifr_mtu) : 0;
}

std::vector<std::pair<Address, unsigned>> interface_addresses() {
  std::vector<std::pair<Address, unsigned>> found;
  const UniqueFd netlink(rights().socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
  struct {
    nlmsghdr header;
    ifaddrmsg message;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETADDR;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  if (!netlink || ::send(netlink.get(), &request, sizeof request, 0) < 0) return found;
  alignas(nlmsghdr) std::uint8_t answer[32768];
  for (;;) {
    const ssize_t got = ::recv(netlink.get(), answer, sizeof answer, 0);
    if (got <= 0) return found;
    for (ByteView rest(answer, static_cast<std::size_t>(got)); rest.size() >= sizeof(nlmsghdr);) {
      nlmsghdr header{};
      std::memcpy(&header, rest.data(), sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size() ||
          header.nlmsg_type != RTM_NEWADDR) {
        return found;  // the end, or an error
      }
      add_address(rest.subspan(sizeof header, header.nlmsg_len - sizeof header), found);
      rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
    }
  }
}

bool interface_is_up(unsigned index) noexcept { return (interface_flags(index) & IFF_UP) != 0; }

bool interface_is_loopback(unsigned index) noexcept {
  return (interface_flags(index) & IFF_LOOPBACK) != 0;
}

}  // namespace udpcr
