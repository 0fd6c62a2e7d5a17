// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sock_diag.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>

namespace udpcr {
namespace {

constexpr unsigned kCgroupId = 21;  // INET_DIAG_CGROUP_ID, since Linux 5.9

}  // namespace

std::optional<DiagFacts> SockDiag::facts(const SocketRecord& record) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 query;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.query.sdiag_family = static_cast<std::uint8_t>(record.family);
  request.query.sdiag_protocol = static_cast<std::uint8_t>(record.protocol);
  request.query.idiag_ext = 1U << (INET_DIAG_SHUTDOWN - 1);
  request.query.idiag_states = ~0U;
  // Looked up as if a datagram came from the peer: "source" is the other end
  // (net/ipv4/udp_diag.c, udp_dump_one).
  request.query.id.idiag_dport = htons(record.local.port);
  std::memcpy(request.query.id.idiag_dst, record.local.bytes, 16);
  if (record.peer) {
    request.query.id.idiag_sport = htons(record.peer->port);
    std::memcpy(request.query.id.idiag_src, record.peer->bytes, 16);
  }
  request.query.id.idiag_if =
      record.device.empty() ? record.local.scope : ::if_nametoindex(record.device.c_str());
  request.query.id.idiag_cookie[0] = static_cast<std::uint32_t>(record.cookie);
  request.query.id.idiag_cookie[1] = static_cast<std::uint32_t>(record.cookie >> 32U);

  if (!netlink_) {
    netlink_ = UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  }
  alignas(nlmsghdr) char answer[4096];
  if (!netlink_ || ::send(netlink_.get(), &request, sizeof request, 0) < 0) return std::nullopt;
  const ssize_t length = ::recv(netlink_.get(), answer, sizeof answer, 0);
  nlmsghdr header{};
  if (length < static_cast<ssize_t>(sizeof header)) return std::nullopt;
  std::memcpy(&header, answer, sizeof header);
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
      header.nlmsg_len > static_cast<std::size_t>(length)) {
    return std::nullopt;
  }
  DiagFacts facts;
  std::size_t offset = NLMSG_LENGTH(sizeof(inet_diag_msg));
  while (offset + sizeof(rtattr) <= header.nlmsg_len) {
    rtattr attribute{};
    std::memcpy(&attribute, answer + offset, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || offset + attribute.rta_len > header.nlmsg_len) {
      break;
    }
    const char* const value = answer + offset + RTA_LENGTH(0);
    if (attribute.rta_type == INET_DIAG_SHUTDOWN) {
      facts.shutdown = static_cast<std::uint8_t>(*value);
    } else if (attribute.rta_type == kCgroupId &&
               attribute.rta_len >= RTA_LENGTH(sizeof facts.cgroup)) {
      std::memcpy(&facts.cgroup, value, sizeof facts.cgroup);
    }
    offset += RTA_ALIGN(attribute.rta_len);
  }
  return facts;
}

}  // namespace udpcr
