// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the program did to a fresh socket before it was adopted, and what must
// be done to the restored one again.  Recorded only while held sockets exist;
// in static arrays.  A socket is named by its inode.
#pragma once

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace udpcr::replay {

// After a successful call of the program.  They wait for their turn
// (adopt.h).
// `before`: what the option was, where the call may have to be undone.
struct Before {
  bool is_known;
  int value;
};
Before read_before(int fd, int level, int name);
void record_option(uint64_t inode, int level, int name, const void* value, socklen_t size,
                   const Before& before);
void record_epoll(uint64_t inode, int epoll, int operation, int fd, const epoll_event* event);
void forget_socket(uint64_t inode);

// In one's turn.  Options that this run has set win over the restored ones;
// what cannot be set again is a line.
void set_options_again(uint64_t inode, int fresh, int restored);
// The socket goes back to the keeper as it was.
void undo_options(uint64_t inode, int fd);
// Before and after the restored socket takes the fresh one's fds.
void leave_epolls(uint64_t inode);
void join_epolls(uint64_t inode, uint64_t restored);
void forget(uint64_t inode);
// What was done to `fresh` has been done to `restored`, which may have to make
// way itself.
void keep_for(uint64_t fresh, uint64_t restored);

}  // namespace udpcr::replay
