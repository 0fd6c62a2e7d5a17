// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Giving the program back the sockets that the keeper has restored
// (UDPCR_FDS=adopt): when it binds or connects a fresh socket as it did before,
// the restored one takes that fd.
#pragma once

#include <sys/socket.h>

#include "shim.h"

namespace udpcr::adopt {

// One relaxed load for nearly every program.
inline bool possible() { return shim.claimable.load(std::memory_order_relaxed) != 0; }

// True: `fd` is now the restored socket, already bound or connected.
bool at_bind(int fd, const sockaddr* address, socklen_t length);
bool at_connect(int fd, const sockaddr* address, socklen_t length);

// The program binds a port that a held socket occupies, in another way: those
// are given up.  True when there was one, and bind is worth another try.
bool make_way_for_bind(const sockaddr* address, socklen_t length);

}  // namespace udpcr::adopt
