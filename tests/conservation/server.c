/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: conservation_server KIND BUFFER
 *
 * KIND: ipv4, ipv6, multicast (a member of a group), connected (to the first
 * sender), group (four sockets of an SO_REUSEPORT group, a thread each) or
 * workers (the same, a forked process each).  BUFFER is for SO_RCVBUFFORCE.
 * The file of slots.h is CONSERVATION_FILE of the environment.
 *
 * It goes on at the first free slot of each lane.  SIGTERM: it closes its
 * sockets and ends.
 */
#define _GNU_SOURCE
#include "slots.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct lane {
  int udp;
  unsigned number;
};

static struct shared shared;
static uint32_t start;

/* No page fault while a datagram is taken: a signal that kills would cut it short. */
static void touch(unsigned lane, uint64_t from, uint64_t to) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uintptr_t first = (uintptr_t)slot_at(shared, lane, from) & ~(page - 1);
  const uintptr_t end = (uintptr_t)slot_at(shared, lane, to);
  if (madvise((void*)first, end - first, MADV_POPULATE_WRITE) != 0) die("MADV_POPULATE_WRITE");
}

static void crash(void) {
  if (start % 2 == 0) abort();
  *(volatile int*)NULL = 1;  // NOLINT(clang-analyzer-core.NullDereference): it is to crash
}

static void take(int udp, struct slot* slot) {
  slot->start = start;
  struct iovec iov = {&slot->datagram, sizeof slot->datagram};
  struct msghdr message = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_name = &slot->source,
                           .msg_namelen = sizeof slot->source};
  while (recvmsg(udp, &message, 0) < 0) {
    if (errno != EINTR) die("recvmsg");
  }
  const uint64_t crash_at = shared.control->crash_at;
  if (crash_at != 0 && slot->datagram.number >= crash_at) crash();
}

static void* serve_lane(void* argument) {
  enum { kAhead = 1 << 13 };
  const struct lane lane = *(struct lane*)argument;
  const uint64_t slots = shared.control->slots;
  uint64_t index = first_free(shared, lane.number, 0), touched = index;
  for (; index < slots; ++index) {
    if (index == touched) {
      touched = index + kAhead < slots ? index + kAhead : slots;
      touch(lane.number, index, touched);
    }
    take(lane.udp, slot_at(shared, lane.number, index));
  }
  fprintf(stderr, "more datagrams than the %llu slots\n", (unsigned long long)slots);
  exit(1);
}

static int make_socket(const char* kind, int buffer, uint16_t port) {
  const int family = strcmp(kind, "ipv6") == 0 ? AF_INET6 : AF_INET;
  const int multicast = strcmp(kind, "multicast") == 0;
  const int grouped = strcmp(kind, "group") == 0 || strcmp(kind, "workers") == 0;
  const int udp = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (udp < 0) die("socket");
  if (setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0) {
    die("SO_RCVBUFFORCE");
  }
  if (grouped && setsockopt(udp, SOL_SOCKET, SO_REUSEPORT, &grouped, sizeof grouped) != 0) {
    die("SO_REUSEPORT");
  }
  union address own = server_address(family, multicast);
  own.v4.sin_port = htons(port);
  if (bind(udp, &own.any, address_size(family)) != 0) die("bind");
  if (multicast) {
    const struct ip_mreqn member = {.imr_multiaddr = own.v4.sin_addr,
                                    .imr_ifindex = (int)if_nametoindex("lo")};
    if (setsockopt(udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &member, sizeof member) != 0) {
      die("IP_ADD_MEMBERSHIP");
    }
  }
  if (strcmp(kind, "connected") == 0) {
    const union address peer = sender_address(family, 0);
    if (connect(udp, &peer.any, address_size(family)) != 0) die("connect");
  }
  return udp;
}

static sigset_t terminate(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  return set;
}

static void await_end(void) {
  const sigset_t set = terminate();
  int signal;
  while (sigwait(&set, &signal) != 0) {
  }
}

/* Each lane by a thread, until SIGTERM. */
static void serve(struct lane* lanes, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve_lane, &lanes[i]) != 0) die("pthread_create");
  }
  await_end();
  for (unsigned i = 0; i < count; ++i) close(lanes[i].udp);
  _exit(0);
}

static void workers(const char* kind, int buffer) {
  /* A socket of the parent's too, so that it is the parent that udpcr is first told of. */
  const int own = make_socket("ipv4", buffer, kServerPort + 1);
  pid_t worker[kMostLanes];
  int ready[2];
  char word;
  if (pipe(ready) != 0) die("pipe");
  for (unsigned i = 0; i < kMostLanes; ++i) {
    worker[i] = fork();
    if (worker[i] < 0) die("fork");
    if (worker[i] == 0) {
      struct lane lane = {make_socket(kind, buffer, kServerPort), i};
      if (write(ready[1], "r", 1) != 1) die("write");
      serve(&lane, 1);
    }
  }
  for (unsigned i = 0; i < kMostLanes; ++i) {
    if (read(ready[0], &word, 1) != 1) die("read");
  }
  shared.control->ready = start;
  await_end();
  for (unsigned i = 0; i < kMostLanes; ++i) {
    kill(worker[i], SIGTERM);
    waitpid(worker[i], NULL, 0);
  }
  close(own);
}

int main(int argc, char** argv) {
  const char* const file = getenv("CONSERVATION_FILE");
  if (argc != 3 || file == NULL) return 2;
  const int buffer = atoi(argv[2]);
  shared = map_file(file);
  start = (uint32_t)shared.control->start;
  const sigset_t set = terminate();
  sigprocmask(SIG_BLOCK, &set, NULL);
  if (strcmp(argv[1], "workers") == 0) {
    workers(argv[1], buffer);
    return 0;
  }
  struct lane lanes[kMostLanes];
  const unsigned count = (unsigned)shared.control->lanes;
  for (unsigned i = 0; i < count; ++i) {
    lanes[i] = (struct lane){make_socket(argv[1], buffer, kServerPort), i};
  }
  shared.control->ready = start;
  serve(lanes, count);
}
