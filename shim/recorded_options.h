// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Options that the kernel takes and does not tell again: what the program last
// set, by the socket's inode, for the keeper's userspace engine.  Static
// arrays; written in one's turn, read by the signal handler without waiting
// for anybody's turn.
#pragma once

// Before linux/in6.h, which then leaves out what this has.
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "wire.h"

namespace udpcr::recorded_options {

// After a successful call of the program.  Most options cost a comparison.
void note(uint64_t inode, int level, int name, const void* value, socklen_t size);

// Whether note() may record it.
bool concerns(int level, int name);

// The socket with this number is gone: a new one has it.
void forget(uint64_t inode);

// The restored socket `to` has taken the place of the fresh one `from`.
void move(uint64_t from, uint64_t to);

// In the handler, one thread at a time: calls `send(const wire::RecordedOption&,
// const void* value)` for each until it returns something else than 0, which
// is returned.
using Send = int (*)(void* context, const wire::RecordedOption& option, const void* value);
int each(Send send, void* context);

// In the child of fork.
void reset_turn();

}  // namespace udpcr::recorded_options
