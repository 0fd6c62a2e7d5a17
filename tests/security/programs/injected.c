// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The program of tests/security/injections: three UDP sockets, and what it is
// told on its standard input.  Linked to nothing of ours.
//
//     injected PORT        binds 127.0.0.1 and ::1 to PORT, 127.0.0.1 to PORT + 1;
//     injected PORT given  ... unless the fds 3, 4 and 5 are sockets already
//     read                 says each datagram that waits, then "end"
//     quit                 ends, as the end of its input does
//
// A call that fails is said and ends it with status 9: it must not happen,
// whatever happens to udpcr's calls.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOCKETS = 3 };

static void fail(const char* call) {
  printf("failed %s: %s\n", call, strerror(errno));
  fflush(stdout);
  _exit(9);
}

static int open_socket(int family, int port) {
  const int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  struct sockaddr_storage name;
  memset(&name, 0, sizeof name);
  socklen_t size = 0;
  if (family == AF_INET) {
    struct sockaddr_in* v4 = (struct sockaddr_in*)&name;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((unsigned short)port);
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = sizeof *v4;
  } else {
    struct sockaddr_in6* v6 = (struct sockaddr_in6*)&name;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((unsigned short)port);
    v6->sin6_addr = in6addr_loopback;
    size = sizeof *v6;
  }
  if (bind(fd, (struct sockaddr*)&name, size) != 0) fail("bind");
  return fd;
}

static int is_socket(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

static void read_all(const int* fds) {
  for (int i = 0; i < SOCKETS; ++i) {
    for (;;) {
      char payload[256];
      const ssize_t got = recv(fds[i], payload, sizeof payload - 1, MSG_DONTWAIT);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) break;
      if (got < 0) fail("recv");
      payload[got] = '\0';
      printf("%d %s\n", i, payload);
    }
  }
  printf("end\n");
  fflush(stdout);
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const int port = atoi(argv[1]);
  const int families[SOCKETS] = {AF_INET, AF_INET6, AF_INET};
  int fds[SOCKETS];
  for (int i = 0; i < SOCKETS; ++i) {
    const int number = 3 + i;
    const int given = argc > 2 && is_socket(number);
    fds[i] = given ? number : open_socket(families[i], port + i / 2);
    if (!given && argc > 2 && fds[i] != number) {
      if (dup3(fds[i], number, O_CLOEXEC) != number) fail("dup3");
      close(fds[i]);
      fds[i] = number;
    }
  }
  printf("ready %d\n", (int)getpid());
  fflush(stdout);
  char line[64] = "";
  size_t size = 0;
  for (;;) {
    const ssize_t got = read(STDIN_FILENO, line + size, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read");
    if (got == 0) return 0;
    if (line[size] != '\n') {
      if (size + 1 < sizeof line) ++size;
      continue;
    }
    line[size] = '\0';
    size = 0;
    if (strcmp(line, "read") == 0) read_all(fds);
    if (strcmp(line, "quit") == 0) return 0;
  }
}
