// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Our end of the talk with the keeper (wire.h).
#pragma once

#include <stddef.h>

#include "packet.h"
#include "patience.h"
#include "wire.h"

namespace udpcr::channel {

// Takes the connection over; maps the page and closes its fd.  False: the page
// is not what it should be; both fds are closed.
bool open(int channel_fd, int page_fd);
// The keeper has ended: another may be talked to.  Its page stays mapped, for other
// threads may look at it.
void close();
bool is_open();
int fd();
// nullptr: no channel.
wire::SharedPage* page();
// The keeper has closed its end.
bool has_ended();

// A keeper that shows no sign of life is given up by all processes of the tree at
// once, for good: nobody waits for it again, and whoever waits in the handler goes
// on.  Safe in the signal handler.  `moved`: the keeper has just ended `epoch`, in
// which the caller waits, so it lives.  `first`: nobody else has said it.
enum class GivingUp { moved, first, done };
GivingUp give_up(uint32_t epoch);
bool is_given_up();
// One line.  Needs more stack than a handler has.
void say_that_it_is_given_up();
// Asks a keeper that may be asleep for a sign of life.
void knock();

// A packet from `count` pieces, with fds.  Waits for room.  0 or errno; EPIPE
// and ECONNRESET: the keeper has ended; ESHUTDOWN: it was given up, as was said.
// Safe in the signal handler.
int send(const iovec* pieces, size_t count, const int* fds, size_t fd_count);

// A packet of at most `size` bytes with at most `fd_room` fds, which are
// close-on-exec and the caller's.  Waits as long as `patience` lasts.  Bytes
// received, or -1 with errno (ETIMEDOUT, EPIPE: the keeper has ended, ESHUTDOWN: as
// for send).  `fds_lost`: some did not fit under RLIMIT_NOFILE.
using packet::Arrived;
ssize_t receive(void* packet, size_t size, int* fds, size_t fd_room, Arrived& arrived,
                Patience& patience);
// Of CLOCK_MONOTONIC.
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
