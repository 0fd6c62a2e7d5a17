// SPDX-License-Identifier: LGPL-2.1-or-later
#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

namespace udpcr::channel {

namespace {

// A packet has room for this many and stderr.
constexpr unsigned kRoom = wire::kFdsPerPart + 1;

void wait_for(int channel, short events, int patience_ms) {
  pollfd polled{channel, events, 0};
  syscall(SYS_poll, &polled, 1, patience_ms);
}

long now_ms() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

unsigned take_fds(msghdr& message, int* fds, unsigned room) {
  unsigned count = 0;
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    const size_t size = one->cmsg_len - CMSG_LEN(0);
    for (size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
      int fd;
      memcpy(&fd, CMSG_DATA(one) + at, sizeof fd);
      if (count < room) {
        fds[count++] = fd;
      } else {
        syscall(SYS_close, fd);
      }
    }
  }
  return count;
}

}  // namespace

int send(int channel, const iovec* parts, size_t part_count, const int* fds, unsigned fd_count) {
  const KeepErrno keep;
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int) * kRoom)];
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = part_count;
  if (fd_count > 0) {
    memset(control, 0, sizeof(cmsghdr));
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    memcpy(CMSG_DATA(rights), fds, sizeof(int) * fd_count);
  }
  for (;;) {
    if (syscall(SYS_sendmsg, channel, &message, MSG_NOSIGNAL) >= 0) return 0;
    if (errno == EINTR) continue;
    // ETOOMANYREFS: too many of the user's fds are on their way (unix(7)); the
    // keeper is taking them.
    if (errno != EAGAIN && errno != ETOOMANYREFS && errno != ENOBUFS) return errno;
    if (ended(channel)) return EPIPE;
    wait_for(channel, errno == EAGAIN ? POLLOUT : 0, 1);
  }
}

long receive(int channel, wire::Type wanted, void* packet, size_t size, int* fds, unsigned fd_room,
             unsigned& fd_count, int patience_ms) {
  const KeepErrno keep;
  const long deadline = now_ms() + patience_ms;
  for (;;) {
    alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int) * kRoom)];
    iovec part{packet, size};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const long got = syscall(SYS_recvmsg, channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got == 0) return -1;
    if (got < 0) {
      const long left = deadline - now_ms();
      if ((errno != EAGAIN && errno != EINTR) || left <= 0) return -1;
      wait_for(channel, POLLIN, static_cast<int>(left));
      continue;
    }
    fd_count = take_fds(message, fds, fd_room);
    wire::WireHeader header;
    if (got >= static_cast<long>(sizeof header)) {
      memcpy(&header, packet, sizeof header);
      if (header.type == wanted && header.version == wire::kVersion) return got;
    }
    for (unsigned i = 0; i < fd_count; ++i) syscall(SYS_close, fds[i]);
  }
}

bool ended(int channel) {
  pollfd polled{channel, 0, 0};
  return syscall(SYS_poll, &polled, 1, 0) == 1 && (polled.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace udpcr::channel
