/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: sender FAMILY PORT COUNT RATE
 *
 * Sends the numbers 1 to COUNT, one a datagram, RATE a second, to the machine
 * itself; writes how many the kernel took.  Not connected: that nobody listens
 * for a moment is no error here.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const int family = atoi(argv[1]) == 6 ? AF_INET6 : AF_INET;
  const uint16_t port = htons((uint16_t)atoi(argv[2]));
  const uint64_t count = strtoull(argv[3], NULL, 10);
  const uint64_t rate = strtoull(argv[4], NULL, 10);
  const struct sockaddr_in v4 = {
      .sin_family = AF_INET, .sin_port = port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  const struct sockaddr_in6 v6 = {
      .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  const struct sockaddr* const to =
      family == AF_INET ? (const struct sockaddr*)&v4 : (const struct sockaddr*)&v6;
  const socklen_t size = family == AF_INET ? sizeof v4 : sizeof v6;
  const int udp = socket(family, SOCK_DGRAM, 0);
  if (udp < 0) {
    perror("socket");
    return 1;
  }
  struct timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  uint64_t sent = 0;
  for (uint64_t number = 1; number <= count; ++number) {
    const uint64_t due = (uint64_t)start.tv_nsec + (number - 1) * 1000000000U / rate;
    const struct timespec when = {start.tv_sec + (time_t)(due / 1000000000U),
                                  (long)(due % 1000000000U)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
    sent += sendto(udp, &number, sizeof number, 0, to, size) == (ssize_t)sizeof number;
  }
  printf("%llu\n", (unsigned long long)sent);
}
