// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: park TIMES OTHERS
//
// Says the medians, in nanoseconds, of bind(2) and of close(2) of a bound socket,
// while OTHERS more are open.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

static int compare(const void* one, const void* other) {
  const long left = *(const long*)one;
  const long right = *(const long*)other;
  return (left > right) - (left < right);
}

static int socket_at(int port) {
  const struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((unsigned short)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(fd, (const struct sockaddr*)&address, sizeof address) == 0) return fd;
  perror("bind");
  exit(1);
}

int main(int argc, char** argv) {
  const int times = argc > 1 ? atoi(argv[1]) : 2000;
  const int others = argc > 2 ? atoi(argv[2]) : 0;
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(19999), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  long* const bound = calloc((size_t)times, sizeof *bound);
  long* const closed = calloc((size_t)times, sizeof *closed);
  int refused = 0;
  for (int i = 0; i < others; ++i) socket_at(20000 + i);
  for (int i = 0; i < times; ++i) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const long begin = now();
    if (bind(fd, (const struct sockaddr*)&address, sizeof address) != 0) ++refused;
    const long middle = now();
    close(fd);
    closed[i] = now() - middle;
    bound[i] = middle - begin;
  }
  qsort(bound, (size_t)times, sizeof *bound, compare);
  qsort(closed, (size_t)times, sizeof *closed, compare);
  closefrom(3);
  printf("%ld %ld %d\n", bound[times / 2], closed[times / 2], refused);
  return 0;
}
