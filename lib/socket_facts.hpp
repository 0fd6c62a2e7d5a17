// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What stands on a UDP socket beside addresses, options and queue.
#pragma once

#include <udpcr/udpcr.hpp>

#include "memberships.hpp"
#include "sock_diag.hpp"

namespace udpcr {

// What read_facts() reads from, kept open from one socket to the next.
struct FactSources {
  Memberships memberships;
  SockDiag diag;
};

// What only fcntl, getsockopt and getxattr tell: filter, owner, label.  Appends
// a Loss for what no engine keeps: eBPF programs, encapsulation.
void read_attachments(int fd, SocketRecord& record, std::vector<Loss>& losses);

// All that is found without the module: also memberships, shutdown and cgroup.
// Appends a Loss for what is found and cannot be read: cork, errors, drops.
// Changes nothing on the socket.
void read_facts(int fd, SocketRecord& record, FactSources& sources, std::vector<Loss>& losses);

// Appends a Loss when a restored socket is not accounted to the same cgroup.  `then` 0: it was not
// known; `now` 0: the kernel does not tell.
void name_cgroup(std::uint64_t then, std::uint64_t now, std::vector<Loss>& losses);

}  // namespace udpcr
