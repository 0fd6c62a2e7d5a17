// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Parked sockets (UDPCR_PARK): the keeper keeps those open as well, so that they
// outlive the program.  As long as it does a socket that the program has closed
// holds its port and is reported by epoll: a call that closes one returns when
// the keeper has closed its own.
#pragma once

#include <stdint.h>

#include <atomic>

#include "fd_table.h"
#include "settings.h"

namespace udpcr::park {

// Sockets may be parked: the one load that every call pays.
inline constinit std::atomic<bool> on = false;
inline bool is_on() { return on.load(std::memory_order_relaxed); }

// In the constructor.
void begin(ParkMode mode);
// In the handler, when a checkpoint is over.
void mark_all_if_parked();

// bind(2) or connect(2) has given the socket a name.
void keep(int fd);

// Around a call that closes: before it, but after the slot was forgotten, which
// socket is to be told of (0: none), and then, when the call has succeeded, that
// it was closed.
uint64_t parked_inode(const FdSlot& slot, uint64_t inode);
uint64_t parked_inode(int fd);
void closed(uint64_t inode);
// The same for many.
bool is_any_parked(unsigned first, unsigned last);
void closed_many();
// `fd` is a new socket: what was parked at that number was closed unseen.
void number_was_free(int fd);

// bind(2) to `port` gave EADDRINUSE.  True: sockets that were closed unseen are
// released, it may be tried again.
bool give_port_up(uint16_t port);

// An exec stands before: what is parked has no one left who tells of its close.
// It lives on when the exec has failed.
class Executing {
 public:
  Executing();
  ~Executing();
  Executing(const Executing&) = delete;
  Executing& operator=(const Executing&) = delete;

 private:
  bool released_ = false;
};

}  // namespace udpcr::park
