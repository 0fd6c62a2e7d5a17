/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: conservation_sender FILE KIND RATE WINDOW
 *
 * Sends the numbers from 1 on, one a datagram, from eight ports in turn (one,
 * when the server is connected): RATE a second at most, no further than the
 * test allows, and never more than WINDOW that the server has not received.
 * Nothing is sent twice.
 */
#define _GNU_SOURCE
#include "slots.h"

#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { kSenders = 8, kPatience = 60, kLeastPauseNs = 20000 };

static struct shared shared;

/* What the server has received; each full slot is looked at once. */
static uint64_t taken(void) {
  static uint64_t next[kMostLanes];
  uint64_t sum = 0;
  for (uint64_t lane = 0; lane < shared.control->lanes; ++lane) {
    next[lane] = first_free(shared, lane, next[lane]);
    sum += next[lane];
  }
  return sum;
}

static void sleep_ns(uint64_t ns) {
  const struct timespec time = {(time_t)(ns / 1000000000U), (long)(ns % 1000000000U)};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* On another processor a datagram would overtake those that wait at the first one. */
static void stay_here(void) {
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET((unsigned)sched_getcpu(), &here);
  if (sched_setaffinity(0, sizeof here, &here) != 0) die("sched_setaffinity");
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static int open_sender(int family, int multicast, unsigned index, struct datagram* datagram) {
  const int udp = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (udp < 0) die("socket");
  datagram->sender = sender_address(family, index);
  if (bind(udp, &datagram->sender.any, address_size(family)) != 0) die("bind");
  const struct ip_mreqn by = {.imr_ifindex = (int)if_nametoindex("lo")};
  if (multicast && setsockopt(udp, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by) != 0) {
    die("IP_MULTICAST_IF");
  }
  return udp;
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  shared = map_file(argv[1]);
  const int family = strcmp(argv[2], "ipv6") == 0 ? AF_INET6 : AF_INET;
  const int multicast = strcmp(argv[2], "multicast") == 0;
  const unsigned senders = strcmp(argv[2], "connected") == 0 ? 1 : kSenders;
  const uint64_t pause = 1000000000ULL * senders / strtoull(argv[3], NULL, 10);
  const uint64_t window = strtoull(argv[4], NULL, 10);
  const union address to = server_address(family, multicast);
  int udp[kSenders];
  struct datagram datagram[kSenders] = {0};
  for (unsigned i = 0; i < senders; ++i) {
    udp[i] = open_sender(family, multicast, i, &datagram[i]);
  }

  stay_here();
  uint64_t due = now_ns();
  for (uint64_t number = 1; number <= shared.control->count; ++number) {
    const unsigned i = (unsigned)(number % senders);
    if (i == 0) {
      const uint64_t now = now_ns();
      due += pause;
      /* In any case, so that the kernel works off what it has queued for this processor. */
      sleep_ns(now + kLeastPauseNs < due ? due - now : kLeastPauseNs);
      if (now > due + pause) due = now; /* what was missed is not made up for */
    }
    const uint64_t patient_until = now_ns() + kPatience * (uint64_t)1000000000U;
    while (number > shared.control->allowed || number > taken() + window) {
      if (now_ns() > patient_until) {
        fprintf(stderr, "%llu sent, %llu received, and no more for %d s\n",
                (unsigned long long)number - 1, (unsigned long long)taken(), kPatience);
        return 1;
      }
      sleep_ns(200000);
    }
    datagram[i].number = number;
    if (sendto(udp[i], &datagram[i], sizeof datagram[i], 0, &to.any, address_size(family)) !=
        (ssize_t)sizeof datagram[i]) {
      die("sendto");
    }
    shared.control->sent = number;
  }
}
