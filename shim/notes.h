// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the program does to sockets that it has not bound yet.  Kept only while
// there is something to adopt.
#pragma once

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace udpcr::notes {

void add_option(uint64_t inode, int level, int name, const void* value, socklen_t length);
void add_epoll(int epoll_fd, int operation, int fd, const epoll_event* event);

// Onto the socket `target`, in the order of the calls; `fresh` is the socket
// that they were made on.
void replay_options(uint64_t inode, int fresh, int target);
// The fd `fd` has become another socket.
void replay_epoll(int fd);

void forget_fd(int fd);

}  // namespace udpcr::notes
