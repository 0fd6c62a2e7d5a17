// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Our end of the talk with the keeper (wire.h).
#pragma once

#include <stddef.h>

#include "wire.h"

namespace udpcr::channel {

// Takes the connection over; maps the page and closes its fd.  False: the page
// is not what it should be; both fds are closed.
bool open(int channel_fd, int page_fd);
bool is_open();
int fd();
// nullptr: no channel.
wire::SharedPage* page();
// The keeper has closed its end.
bool has_ended();

// A packet from `count` pieces, with fds.  Waits for room.  0 or errno; EPIPE
// and ECONNRESET: the keeper has ended.  Safe in the signal handler.
int send(const iovec* pieces, size_t count, const int* fds, size_t fd_count);

// A packet of at most `size` bytes with at most `fd_room` fds, which are
// close-on-exec and the caller's.  Waits until `deadline_ms` of
// milliseconds_now().  Bytes received, or -1 with errno (ETIMEDOUT, EPIPE: the
// keeper has ended).  `fds_lost`: some did not fit under RLIMIT_NOFILE.
struct Arrived {
  size_t fd_count;
  bool fds_lost;
};
ssize_t receive(void* packet, size_t size, int* fds, size_t fd_room, Arrived& arrived,
                int64_t deadline_ms);
int64_t milliseconds_now();

// claim, release or give_back: the keeper's answer, 0 or errno.  `socket`: the
// restored socket or -1; the one that is given back, and stays the caller's.
// One thread at a time (Turn).
// `shared`: of ClaimMessage.
int ask(wire::Type type, uint32_t entry, int& socket, uint64_t shared = 0);

// unpark, sweep and others, the same.
int ask(const wire::UnparkMessage& question);
int ask(const wire::SweepMessage& question);
int ask(const wire::OthersMessage& question);

// A message of type exchange that has come, and its socket.  In one's turn.
using Exchange = void (*)(const wire::ExchangeMessage& message, int socket);
void on_exchange(Exchange exchange);
// If one is there.
void serve_exchange();

// In the child of fork: a channel of its own.
void renew_after_fork();

}  // namespace udpcr::channel
