// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_facts.hpp"

#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>

#include <chrono>
#include <thread>

#include "attached_filters.hpp"
#include "errors.hpp"
#include "file_owner.hpp"
#include "kernel_numbers.hpp"
#include "options.hpp"
#include "persist.hpp"
#include "security_label.hpp"
#include "shutdown.hpp"

namespace udpcr {
namespace {

constexpr const char* kNeedsModule = "load the kernel module, which keeps it";

// SIOCOUTQ counts what waits in a network device's queue as well; that goes
// away by itself.
int corked_bytes(int fd) {
  int bytes = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (persist([&] { return ::ioctl(fd, SIOCOUTQ, &bytes); }) != 0) {
      fail("read the send queue of fd " + std::to_string(fd), errno, "");
    }
    if (bytes == 0) return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(attempt));
  }
  return bytes;
}

// Only sock_diag tells of a shut sending side alone, and of cgroups, and only
// of bound sockets; of a shut receiving side datagram_poll (net/core/datagram.c)
// does.
void read_diag(SockDiag& diag, SocketRecord& record, short events) {
  if ((events & POLLRDHUP) != 0) record.shutdown |= kRcvShutdown;
  if ((events & POLLHUP) != 0) record.shutdown |= kSendShutdown;
  if (record.local.port == 0) return;
  if (const auto facts = diag.facts(record)) {
    record.shutdown |= facts->shutdown;
    record.cgroup = facts->cgroup;
  }
}

}  // namespace

void read_attachments(int fd, SocketRecord& record, std::vector<Loss>& losses) {
  const auto lose = [&](const char* what, const std::string& why, const char* remedy) {
    losses.push_back({what, why, remedy});
  };
  read_filter(fd, record, losses);
  if (const int type = read_number(fd, SOL_UDP, kUdpEncap).value_or(0); type != 0) {
    lose("encapsulation", "UDP_ENCAP is " + std::to_string(type),
         "let the program that owns the tunnel set it up again");
  } else if ((record.flags & UDPCR_SOCK_ENCAP) != 0) {
    lose("encapsulation", "the kernel has a tunnel on it", "set the tunnel up again");
  }
  record.owner = read_owner(fd);
  record.label = read_label(fd);
}

void read_facts(int fd, SocketRecord& record, FactSources& sources, std::vector<Loss>& losses) {
  const auto lose = [&](const char* what, const std::string& why, const char* remedy) {
    losses.push_back({what, why, remedy});
  };
  record.memberships = sources.memberships.of(fd, record.family, losses);
  read_attachments(fd, record, losses);
  if (const int bytes = corked_bytes(fd); bytes != 0) {
    lose("cork", std::to_string(bytes) + " bytes of memory are held by corked or unsent data",
         kNeedsModule);
  }
  pollfd events{fd, POLLRDHUP, 0};
  if (persist([&] { return ::poll(&events, 1, 0); }) < 0) {
    fail("poll fd " + std::to_string(fd), errno, "");
  }
  if ((events.revents & POLLERR) != 0) {
    lose("pending error", "an error or messages in the error queue wait to be read", kNeedsModule);
  }
  read_diag(sources.diag, record, events.revents);
  if ((read_number(fd, SOL_SOCKET, SO_TIMESTAMPING).value_or(0) & SOF_TIMESTAMPING_OPT_ID) != 0) {
    lose("timestamp counter", "the number of the next transmit timestamp is not told",
         kNeedsModule);
  }
  if (record.drops != 0) {
    lose("drop counter", std::to_string(record.drops) + " datagrams had been dropped",
         kNeedsModule);
  }
}

void name_cgroup(std::uint64_t then, std::uint64_t now, std::vector<Loss>& losses) {
  if (then == 0 || then == now) return;
  losses.push_back({"cgroup",
                    "it was accounted to cgroup " + std::to_string(then) +
                        (now == 0 ? ", and this kernel does not tell to which it is now"
                                  : " and is to " + std::to_string(now)),
                    "restart in the same cgroup"});
}

}  // namespace udpcr
