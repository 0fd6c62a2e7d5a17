// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: unseen WAY
//
// A socket that comes by a way that udpcr does not see.
#include "transparency.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static int received(int fd) {
  int pair[2];
  struct fd_message message;
  hold_fd(&message, fd);
  MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
  MUST(sendmsg(pair[0], &message.header, 0) == 1);
  close(fd);
  MUST(recvmsg(pair[1], &message.header, 0) == 1);
  close(pair[0]);
  close(pair[1]);
  return held_fd(&message);
}

int main(int argc, char** argv) {
  MUST(argc == 2);
  const char* const way = argv[1];
  int fd = -1;
  if (strcmp(way, "raw_socket") == 0) {
    fd = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    MUST(bind_loopback(fd, 5300) == 0);
  } else if (strcmp(way, "raw_socket_dup") == 0) {
    const int first = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    fd = (int)syscall(SYS_dup, first);
    MUST(bind_loopback(first, 5300) == 0);
    syscall(SYS_close, first);
  } else if (strcmp(way, "rights") == 0) {
    fd = received(udp_socket(5300));
  } else if (strcmp(way, "rights_unbound") == 0) {
    fd = received(socket(AF_INET, SOCK_DGRAM, 0));
    MUST(bind_loopback(fd, 5300) == 0);
  } else if (strcmp(way, "raw_dup") == 0) {
    const int first = udp_socket(5300);
    fd = (int)syscall(SYS_dup3, first, 300, 0);
    MUST(close(first) == 0);
  } else if (strcmp(way, "far") == 0) {
    // Beyond the first thousands.
    const struct rlimit more = {8192, 8192};
    MUST(setrlimit(RLIMIT_NOFILE, &more) == 0);
    const int first = udp_socket(5300);
    fd = (int)syscall(SYS_dup3, first, 6000, 0);
    MUST(close(first) == 0);
  } else if (strcmp(way, "pidfd") == 0) {
    const int first = udp_socket(5300);
    const int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    fd = (int)syscall(SYS_pidfd_getfd, self, first, 0);
    MUST(fd >= 0);
    MUST(close(first) == 0);
    MUST(close(self) == 0);
  } else if (strcmp(way, "raw_bind") == 0) {
    // Cannot come back: nobody sees that it asks for its port.
    const struct sockaddr_in address = loopback(5300);
    fd = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    MUST(syscall(SYS_bind, fd, &address, sizeof address) == 0);
    // So that there is a keeper.
    say("other fd %d", socket(AF_INET, SOCK_DGRAM, 0));
  }
  say("fd %d", fd);
  return serve(fd);
}
