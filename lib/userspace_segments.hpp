// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sends a datagram in segments (UDP_SEGMENT).  The loopback interface leaves
// them together, so that a socket with UDP_GRO receives them as one.
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// A socket with the datagram's source, of whatever machine (IP_TRANSPARENT,
// CAP_NET_RAW), its mark, priority and flow label.  None: there cannot be one.
UniqueFd open_segment_socket(const Datagram& datagram);

// To `port` at the datagram's destination.  0 or errno.
int send_segments(int fd, const Datagram& datagram, std::uint16_t port);

}  // namespace udpcr
