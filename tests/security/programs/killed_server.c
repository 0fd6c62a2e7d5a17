// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: killed_server PORT SOCKETS CHILDREN
//
// Binds SOCKETS UDP sockets to 127.0.0.1 from PORT on, and one to ::1; forks
// CHILDREN, which end with it; says so, and stands in poll without reading.  Linked
// to nothing of ours.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void make(int family, int port) {
  struct sockaddr_storage name = {.ss_family = (sa_family_t)family};
  socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if (family == AF_INET) {
    struct sockaddr_in* v4 = (struct sockaddr_in*)&name;
    v4->sin_port = htons((unsigned short)port);
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    struct sockaddr_in6* v6 = (struct sockaddr_in6*)&name;
    v6->sin6_port = htons((unsigned short)port);
    v6->sin6_addr = in6addr_loopback;
  }
  int fd = socket(family, SOCK_DGRAM, 0);
  if (fd < 0 || bind(fd, (struct sockaddr*)&name, size) != 0) {
    printf("failed %d %s\n", port, strerror(errno));
    exit(1);
  }
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  const int port = atoi(argv[1]);
  const int sockets = atoi(argv[2]);
  for (int i = 0; i < sockets; ++i) make(AF_INET, port + i);
  make(AF_INET6, port);
  const pid_t parent = getpid();
  for (int i = 0; i < atoi(argv[3]); ++i) {
    const pid_t child = fork();
    if (child < 0) return 3;
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      while (getppid() == parent) poll(NULL, 0, -1);
      return 0;
    }
    printf("child %d\n", child);
  }
  printf("ready\n");
  for (;;) poll(NULL, 0, -1);
}
