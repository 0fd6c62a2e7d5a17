// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What stands on a UDP socket beside addresses, options and queue, and cannot
// be restored yet: found out, so that it can be named.
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// A group that some socket of the namespace, or the kernel, is a member of.
struct Group {
  sockaddr_storage address{};
  socklen_t size = 0;
  unsigned interface = 0;
  std::string name;  // "239.1.2.3 on eth0"
};

// Multicast memberships of sockets in the network namespace in which of() is
// called first.
class Memberships {
 public:
  // The names of the groups that `fd` is a member of.
  std::vector<std::string> of(int fd, int family);

 private:
  struct Table {
    UniqueFd file;  // /proc/net/igmp, /proc/net/igmp6
    std::string text;
    std::vector<Group> groups;  // as in `text`
  };
  Table ipv4_;
  Table ipv6_;
};

// What find_losses() reads from, kept open from one socket to the next.
struct FactSources {
  Memberships memberships;
  UniqueFd diag;  // NETLINK_SOCK_DIAG
};

// Appends a Loss for what only fcntl and getsockopt tell, and what no engine
// restores: filters, encapsulation, the owner for signals.
void find_attachments(int fd, const SocketRecord& record, std::vector<Loss>& losses);

// Appends a Loss for everything that is found without the module: also
// memberships, cork, errors, shutdown and drops.  Changes nothing on the socket.
void find_losses(int fd, const SocketRecord& record, FactSources& sources,
                 std::vector<Loss>& losses);

// "receiving", "sending" or both; `state`: UDPCR_A_SHUTDOWN.
std::string shutdown_directions(unsigned state);

}  // namespace udpcr
