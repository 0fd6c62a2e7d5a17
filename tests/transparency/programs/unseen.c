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
  char letter = 'x';
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof fd)];
  } control = {0};
  struct iovec piece = {&letter, 1};
  struct msghdr message = {.msg_iov = &piece,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
  MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  MUST(sendmsg(pair[0], &message, 0) == 1);
  close(fd);
  MUST(recvmsg(pair[1], &message, 0) == 1);
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  close(pair[0]);
  close(pair[1]);
  return fd;
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
