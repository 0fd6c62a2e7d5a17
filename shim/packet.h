// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where the shim, and who starts a keeper, send and receive packets of
// common/protocol: by raw system calls, one attempt each.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "protocol/header.h"

namespace udpcr::packet {

// The first piece begins with a wire::WireHeader, whose length is filled in on the
// way; at most kMostPieces.  Does not wait.  0 or errno.  Safe in the signal handler,
// where one thread at a time sends more than one fd.
constexpr size_t kMostPieces = 5;
int send(int channel, const iovec* pieces, size_t count, const int* fds, size_t fd_count);

struct Arrived {
  size_t fd_count;
  bool fds_lost;  // some did not fit under RLIMIT_NOFILE
};

// A packet of at most `size` bytes, with at most `fd_room` fds, which are close-on-exec
// and the caller's.  Does not wait.  Bytes, or -1 with errno: EPIPE at the end, EPROTO
// when its header is not right.
ssize_t receive(int channel, void* packet, size_t size, int* fds, size_t fd_room, Arrived& arrived);

}  // namespace udpcr::packet
