// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The order in which the sockets of an image are bound.  The kernel numbers the
// sockets of a SO_REUSEPORT group as they are bound (net/core/sock_reuseport.c,
// reuseport_add_sock, Linux 6.1), and a classic BPF program chooses by that
// number.
#pragma once

#include <cstddef>
#include <udpcr/udpcr.hpp>
#include <vector>

namespace udpcr::keeper {

// Positions in `records`.  Sockets with SO_REUSEPORT come in the order of their
// groups, or of their inodes where the group's is not known; all others stay in
// their places.
std::vector<std::size_t> restore_order(const std::vector<SocketRecord>& records);

}  // namespace udpcr::keeper
