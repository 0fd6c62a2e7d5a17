// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sock_diag.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "errors.hpp"
#include "persist.hpp"
#include "rights.hpp"
#include "route.hpp"

namespace udpcr {
namespace {

constexpr unsigned kCgroupId = 21;  // INET_DIAG_CGROUP_ID, since Linux 5.9

struct Request {
  nlmsghdr header;
  inet_diag_req_v2 query;
};

Request request_for(const SocketRecord& record) {
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.query.sdiag_family = static_cast<std::uint8_t>(record.family);
  request.query.sdiag_protocol = static_cast<std::uint8_t>(record.protocol);
  request.query.idiag_ext = 1U << (INET_DIAG_SHUTDOWN - 1);
  request.query.idiag_states = ~0U;
  request.query.id.idiag_cookie[0] = static_cast<std::uint32_t>(record.cookie);
  request.query.id.idiag_cookie[1] = static_cast<std::uint32_t>(record.cookie >> 32U);
  return request;
}

// `message`: a whole one, from its nlmsghdr on.
DiagFacts facts_of(const char* message, std::size_t length) {
  DiagFacts facts;
  std::size_t offset = NLMSG_LENGTH(sizeof(inet_diag_msg));
  while (offset + sizeof(rtattr) <= length) {
    rtattr attribute{};
    std::memcpy(&attribute, message + offset, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || offset + attribute.rta_len > length) break;
    const char* const value = message + offset + RTA_LENGTH(0);
    if (attribute.rta_type == INET_DIAG_SHUTDOWN && attribute.rta_len > RTA_LENGTH(0)) {
      facts.shutdown = static_cast<std::uint8_t>(*value);
    } else if (attribute.rta_type == kCgroupId &&
               attribute.rta_len >= RTA_LENGTH(sizeof facts.cgroup)) {
      std::memcpy(&facts.cgroup, value, sizeof facts.cgroup);
    }
    offset += RTA_ALIGN(attribute.rta_len);
  }
  return facts;
}

bool tells_absence(int error_number) {
  return error_number == EPROTONOSUPPORT || error_number == EAFNOSUPPORT || error_number == EPERM ||
         error_number == EACCES || error_number == ECONNREFUSED;
}

bool is_of(const char* message, const SocketRecord& record) {
  inet_diag_msg answer{};
  std::memcpy(&answer, message + NLMSG_HDRLEN, sizeof answer);
  return (answer.id.idiag_cookie[0] | std::uint64_t{answer.id.idiag_cookie[1]} << 32U) ==
         record.cookie;
}

}  // namespace

std::optional<DiagFacts> SockDiag::facts(const SocketRecord& record) {
  Request request = request_for(record);
  // Looked up as if a datagram came from the peer: "source" is the other end
  // (net/ipv4/udp_diag.c, udp_dump_one).
  request.query.id.idiag_dport = htons(record.local.port);
  std::memcpy(request.query.id.idiag_dst, record.local.bytes, 16);
  if (record.peer) {
    request.query.id.idiag_sport = htons(record.peer->port);
    std::memcpy(request.query.id.idiag_src, record.peer->bytes, 16);
  }
  request.query.id.idiag_if =
      record.device.empty() ? record.local.scope : interface_index(record.device);
  std::optional<DiagFacts> found = ask(&request, sizeof request, record);
  if (found) return found;
  // Another of the sockets that share the port: all of them, by the local port,
  // which is "source" here (udp_dump).
  request = request_for(record);
  request.header.nlmsg_flags |= NLM_F_DUMP;
  request.query.id.idiag_sport = htons(record.local.port);
  return ask(&request, sizeof request, record);
}

std::optional<DiagFacts> SockDiag::ask(const void* request, std::size_t size,
                                       const SocketRecord& record) {
  try {
    return ask_once(request, size, record);
  } catch (const Error& error) {
    if (!is_passing(error.error_number())) throw;
    return ask_once(request, size, record);
  }
}

std::optional<DiagFacts> SockDiag::ask_once(const void* request, std::size_t size,
                                            const SocketRecord& record) {
  if (!netlink_) {
    netlink_ =
        UniqueFd(persist([] { return rights().socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG); }));
    // A sandbox, or a kernel that does not have it.
    if (!netlink_ && tells_absence(errno)) return std::nullopt;
    if (!netlink_) fail("open a netlink socket for sock_diag", errno, "");
  }
  if (persist([&] { return ::send(netlink_.get(), request, size, 0); }) < 0) {
    if (tells_absence(errno)) return std::nullopt;
    fail("ask sock_diag about a socket", errno, "");
  }
  const bool dump = (static_cast<const nlmsghdr*>(request)->nlmsg_flags & NLM_F_DUMP) != 0;
  std::optional<DiagFacts> found;
  alignas(nlmsghdr) char answer[32768];
  do {
    ssize_t got = 0;
    do {
      got = ::recv(netlink_.get(), answer, sizeof answer, 0);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
      const int error = got < 0 ? errno : EIO;
      // The rest of this answer is not to be taken for that of the next question.
      netlink_.reset();
      fail("read the answer of sock_diag about a socket", error, "");
    }
    const auto length = static_cast<std::size_t>(got);
    for (std::size_t at = 0; at + sizeof(nlmsghdr) <= length;) {
      nlmsghdr header{};
      std::memcpy(&header, answer + at, sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > length - at) return found;
      if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return found;  // error or end
      if (header.nlmsg_len >= NLMSG_LENGTH(sizeof(inet_diag_msg)) && is_of(answer + at, record)) {
        found = facts_of(answer + at, header.nlmsg_len);
      }
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  } while (dump);
  return found;
}

}  // namespace udpcr
