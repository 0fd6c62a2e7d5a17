// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Nanoseconds of the first socket(2) and its bind(2), for bench/keeper; then it waits
// until its stdin ends.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(void) {
  const struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  const long long begin = now();
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return 1;
  const long long made = now();
  if (bind(fd, (const struct sockaddr*)&any, sizeof any) != 0) return 1;
  const long long end = now();
  printf("%lld %lld\n", made - begin, end - made);
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}
