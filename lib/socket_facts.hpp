// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What stands on a UDP socket beside addresses, options and queue, and cannot
// be restored yet: found out, so that it can be named.
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// Multicast memberships of sockets in this process's network namespace.
class Memberships {
 public:
  // The groups that `fd` is a member of: "239.1.2.3 on eth0".
  std::vector<std::string> of(int fd, int family);

 private:
  UniqueFd igmp_;   // /proc/net/igmp
  UniqueFd igmp6_;  // /proc/net/igmp6
};

// Appends a Loss for each thing found.  Changes nothing on the socket.
void find_losses(int fd, const SocketRecord& record, Memberships& memberships,
                 std::vector<Loss>& losses);

// SHUT_RD + 1, SHUT_WR + 1 or both, as the kernel's sk_shutdown; empty when
// the kernel does not say (no udp_diag).
std::optional<unsigned> shutdown_state(const SocketRecord& record);

}  // namespace udpcr
