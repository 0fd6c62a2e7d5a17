// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A restored socket is in its groups already, so that the program which joins
// them, as it must, is refused by the kernel (EADDRINUSE; EADDRNOTAVAIL for a
// source).  Its first call is answered with 0; a second one is its own fault.
#pragma once

#include <stdint.h>
#include <sys/socket.h>

namespace udpcr::joined_groups {

// Options that join a group, or that add a source to one's filter.
bool joins(int level, int name);

// After setsockopt on a restored socket, which gave `error` or 0.  The error
// that the program is to see.  Keeps errno.
int answer(uint64_t inode, int level, int name, const void* value, socklen_t size, int error);

// The inode is another socket's now.
void forget(uint64_t inode);

// In the child of fork.
void reset_turn();

}  // namespace udpcr::joined_groups
