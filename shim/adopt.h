// SPDX-License-Identifier: LGPL-2.1-or-later
//
// UDPCR_FDS=adopt: a socket that the program makes and binds or connects as it
// did in its earlier life becomes the restored one.  The keeper holds those;
// we know their addresses from a table that it shares with us.
#pragma once

#include <sys/socket.h>

#include <atomic>

#include "fd_table.h"

namespace udpcr::adopt {

// Held sockets exist: the one load that every call pays.
inline constinit std::atomic<bool> pending = false;
inline bool is_pending() { return pending.load(std::memory_order_relaxed); }
// Some have been adopted.
inline constinit std::atomic<bool> any_adopted = false;

// Serialises adoption, and the records of replay.h.
inline constinit std::atomic<bool> turn = false;

// Takes the fd over.
void open_table(int fd, uint32_t entries);

// True: the call is done, successfully.
bool at_bind(int fd, FdSlot& slot, const sockaddr* address, socklen_t size);
bool at_connect(int fd, FdSlot& slot, const sockaddr* address, socklen_t size);

// In the handler: another process has adopted a socket that this one shares.
void serve_exchange();

// bind(2) gave EADDRINUSE.  True: held sockets stood in the way and are gone.
bool give_port_up(int fd, const FdSlot& slot, const sockaddr* address, socklen_t size);

// What kFdBound* says of a bind(2) to this address.
uint32_t bind_flags(const FdSlot& slot, const sockaddr* address, socklen_t size);

// In the child of fork.
void reset_turn();

}  // namespace udpcr::adopt
