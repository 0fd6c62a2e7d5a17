// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The least that reading sockets can cost: the bare system calls, in the
// process that has them.  usage: floor COUNT DATAGRAMS_EACH
// Prints milliseconds: socket and bind, getsockname and 30 getsockopt, peek of
// every datagram.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int count = atoi(argv[1]);
  const int each = atoi(argv[2]);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  int* const fds = calloc((size_t)count, sizeof *fds);
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof name;

  double begin = now_ms();
  for (int i = 0; i < count; ++i) {
    name.sin_port = htons((unsigned short)(20000 + i));
    fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (fds[i] < 0 || bind(fds[i], (struct sockaddr*)&name, sizeof name) != 0) return 1;
  }
  const double made = now_ms() - begin;

  char payload[100] = {0};
  const int sender = socket(AF_INET, SOCK_DGRAM, 0);
  for (int i = 0; i < count; ++i) {
    getsockname(fds[i], (struct sockaddr*)&name, &length);
    for (int n = 0; n < each; ++n) {
      sendto(sender, payload, sizeof payload, 0, (struct sockaddr*)&name, sizeof name);
    }
  }

  begin = now_ms();
  for (int i = 0; i < count; ++i) {
    getsockname(fds[i], (struct sockaddr*)&name, &length);
    for (int option = 1; option <= 30; ++option) {
      int value;
      socklen_t size = sizeof value;
      getsockopt(fds[i], SOL_SOCKET, option == SO_ERROR ? SO_TYPE : option, &value, &size);
    }
  }
  const double asked = now_ms() - begin;

  begin = now_ms();
  for (int i = 0; i < count; ++i) {
    int start = 0;
    setsockopt(fds[i], SOL_SOCKET, SO_PEEK_OFF, &start, sizeof start);
    while (recv(fds[i], payload, sizeof payload, MSG_PEEK) > 0) {
    }
  }
  printf("%.2f %.2f %.2f\n", made, asked, now_ms() - begin);
  return 0;
}
