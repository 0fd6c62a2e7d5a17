// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One packet to or from the keeper (wire.h).
#pragma once

#include <stddef.h>
#include <sys/uio.h>

#include "wire.h"

namespace udpcr::channel {

// Waits for room.  0 or an errno: EPIPE, ECONNRESET: the keeper has ended;
// EBADF: one of `fds` is closed.  Async-signal-safe.
int send(int channel, const iovec* parts, size_t part_count, const int* fds, unsigned fd_count);

// Waits at most `patience_ms` for a packet of type `wanted`, passes over
// others.  `fds` has room for `fd_room`; `fd_count` receives how many came.
// Size of the packet, or -1.
long receive(int channel, wire::Type wanted, void* packet, size_t size, int* fds, unsigned fd_room,
             unsigned& fd_count, int patience_ms);

// The other end is closed.  Async-signal-safe.
bool ended(int channel);

}  // namespace udpcr::channel
