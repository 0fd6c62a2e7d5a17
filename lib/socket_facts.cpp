// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_facts.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <udpcr/udpcr_netlink.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "kernel_numbers.hpp"
#include "options.hpp"

namespace udpcr {
namespace {

constexpr const char* kNeedsModule = "load the kernel module, which keeps it";
constexpr unsigned kRcvShutdown = 1;  // include/net/sock.h
constexpr unsigned kSendShutdown = 2;

// SIOCOUTQ counts what waits in a network device's queue as well; that goes
// away by itself.
int corked_bytes(int fd) {
  int bytes = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (::ioctl(fd, SIOCOUTQ, &bytes) != 0 || bytes == 0) return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(attempt));
  }
  return bytes;
}

// The kernel's sk_shutdown; empty when it does not say (no udp_diag).
std::optional<unsigned> shutdown_state(UniqueFd& diag, const SocketRecord& record) {
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

  if (!diag) diag = UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  alignas(nlmsghdr) char answer[4096];
  if (!diag || ::send(diag.get(), &request, sizeof request, 0) < 0) return std::nullopt;
  const ssize_t length = ::recv(diag.get(), answer, sizeof answer, 0);
  nlmsghdr header{};
  if (length < static_cast<ssize_t>(sizeof header)) return std::nullopt;
  std::memcpy(&header, answer, sizeof header);
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
      header.nlmsg_len > static_cast<std::size_t>(length)) {
    return std::nullopt;
  }
  std::size_t offset = NLMSG_LENGTH(sizeof(inet_diag_msg));
  while (offset + sizeof(rtattr) <= header.nlmsg_len) {
    rtattr attribute{};
    std::memcpy(&attribute, answer + offset, sizeof attribute);
    if (attribute.rta_len < sizeof attribute) break;
    if (attribute.rta_type == INET_DIAG_SHUTDOWN) {
      return static_cast<std::uint8_t>(answer[offset + RTA_LENGTH(0)]);
    }
    offset += RTA_ALIGN(attribute.rta_len);
  }
  return std::nullopt;
}

void find_shutdown(UniqueFd& diag, const SocketRecord& record, short events,
                   std::vector<Loss>& losses) {
  // datagram_poll (net/core/datagram.c) tells a shut receiving side; only
  // sock_diag tells a shut sending side, and only of bound sockets.
  unsigned state = (events & POLLRDHUP) != 0 ? kRcvShutdown : 0;
  if ((events & POLLHUP) != 0) state |= kSendShutdown;
  if (record.local.port != 0) state |= shutdown_state(diag, record).value_or(0);
  if (state == 0) return;
  losses.push_back({"shutdown", "shut down for " + shutdown_directions(state),
                    "let the program call shutdown(2) again"});
}

}  // namespace

std::string shutdown_directions(unsigned state) {
  if (state == kRcvShutdown) return "receiving";
  return state == kSendShutdown ? "sending" : "receiving and sending";
}

void find_attachments(int fd, const SocketRecord& record, std::vector<Loss>& losses) {
  const auto lose = [&](const char* what, const std::string& why, const char* remedy) {
    losses.push_back({what, why, remedy});
  };
  socklen_t instructions = 0;
  if (::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &instructions) != 0) {
    // An eBPF program has no classic form to give: EACCES (net/core/filter.c,
    // sk_get_filter).
    lose("filter", "a BPF program is attached that cannot be read", "attach it again");
  } else if (instructions != 0) {
    lose("filter", "a filter of " + std::to_string(instructions) + " instructions is attached",
         "let the program attach it again");
  }
  if (read_number(fd, SOL_SOCKET, SO_LOCK_FILTER).value_or(0) != 0) {
    lose("filter lock", "SO_LOCK_FILTER is set", "let the program set it again");
  }
  if (const int type = read_number(fd, SOL_UDP, kUdpEncap).value_or(0); type != 0) {
    lose("encapsulation", "UDP_ENCAP is " + std::to_string(type),
         "let the program that owns the tunnel set it up again");
  } else if ((record.flags & UDPCR_SOCK_ENCAP) != 0) {
    lose("encapsulation", "the kernel has a tunnel on it", "set the tunnel up again");
  }

  f_owner_ex owner{};
  if (::fcntl(fd, F_GETOWN_EX, &owner) == 0 && owner.pid != 0) {
    lose("signal owner",
         std::string(owner.type == F_OWNER_PGRP ? "process group " : "process ") +
             std::to_string(owner.pid) + " is told by signal " +
             std::to_string(::fcntl(fd, F_GETSIG)) + " (F_SETOWN)",
         "let the program call fcntl(F_SETOWN) again");
  } else if ((record.file_flags & O_ASYNC) != 0) {
    lose("signal owner", "O_ASYNC is set", "let the program set it again");
  }
}

void find_losses(int fd, const SocketRecord& record, FactSources& sources,
                 std::vector<Loss>& losses) {
  const auto lose = [&](const char* what, const std::string& why, const char* remedy) {
    losses.push_back({what, why, remedy});
  };
  for (const std::string& group : sources.memberships.of(fd, record.family)) {
    lose("membership", "member of " + group, "let the program join the group again");
  }
  find_attachments(fd, record, losses);
  if (const int bytes = corked_bytes(fd); bytes != 0) {
    lose("cork", std::to_string(bytes) + " bytes of memory are held by corked or unsent data",
         "not restored yet; let the program send it again");
  }
  pollfd events{fd, POLLRDHUP, 0};
  ::poll(&events, 1, 0);
  if ((events.revents & POLLERR) != 0) {
    lose("pending error", "an error or messages in the error queue wait to be read", kNeedsModule);
  }
  find_shutdown(sources.diag, record, events.revents, losses);
  if (record.drops != 0) {
    lose("drop counter", std::to_string(record.drops) + " datagrams had been dropped",
         kNeedsModule);
  }
}

}  // namespace udpcr
