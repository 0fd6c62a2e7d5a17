/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file that server, sender and check share, in a file system in memory:
 * what the server has received is in it whatever becomes of the server.
 *
 * Each socket of the server has a lane of slots, and receives straight into the
 * first that is free.  The kernel takes a datagram off the queue and writes it
 * into the slot, sender and all, within one recvmsg(2); a fatal signal is acted
 * on when the program would run again, which is after that.  So what was taken
 * is recorded, and what is recorded was taken: a slot with a number is full.
 */
#ifndef UDPCR_TESTS_CONSERVATION_SLOTS_H
#define UDPCR_TESTS_CONSERVATION_SLOTS_H

#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { kMostLanes = 4, kControlSize = 4096 };

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

/* What a datagram carries. */
struct datagram {
  uint64_t number; /* from 1 */
  union address sender;
};

struct slot {
  struct datagram datagram;
  union address source; /* as the kernel tells it */
  uint32_t start;       /* the server's, by number; there before the datagram is */
};

/* The first page.  tests/conservation/streams knows its layout. */
struct control {
  uint64_t lanes;
  uint64_t slots; /* a lane has */
  uint64_t count; /* numbers to be sent */
  /* Written by the test. */
  _Atomic uint64_t start;    /* number of the server that is to come */
  _Atomic uint64_t allowed;  /* the sender stops here */
  _Atomic uint64_t crash_at; /* a server that takes this number or a higher one crashes; 0: none */
  /* Written by the programs. */
  _Atomic uint64_t ready; /* number of the server that serves */
  _Atomic uint64_t sent;
};

struct shared {
  struct control* control;
  struct slot* slots;
};

static inline void die(const char* what) {
  perror(what);
  exit(1);
}

static inline struct shared map_file(const char* name) {
  const int fd = open(name, O_RDWR | O_CLOEXEC);
  struct stat stat;
  if (fd < 0 || fstat(fd, &stat) != 0) die(name);
  char* const start = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (start == MAP_FAILED) die("mmap");
  close(fd);
  return (struct shared){(struct control*)start, (struct slot*)(start + kControlSize)};
}

static inline struct slot* slot_at(struct shared shared, uint64_t lane, uint64_t index) {
  return shared.slots + lane * shared.control->slots + index;
}

/* The first free one of a lane, from `index` on. */
static inline uint64_t first_free(struct shared shared, uint64_t lane, uint64_t index) {
  while (index < shared.control->slots) {
    const volatile uint64_t* const number = &slot_at(shared, lane, index)->datagram.number;
    if (*number == 0) break;
    ++index;
  }
  return index;
}

/* Where sender `index` is: each has a port and, but for multicast, an address. */
static inline union address sender_address(int family, unsigned index) {
  union address out = {0};
  const uint16_t port = htons((uint16_t)(7710 + index));
  if (family == AF_INET) {
    out.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    out.v4.sin_addr.s_addr = htonl(0x7f000a01 + index); /* 127.0.10.1 */
  } else {
    out.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
    out.v6.sin6_addr.s6_addr[0] = 0xfd; /* fd00::1; the test adds them to lo */
    out.v6.sin6_addr.s6_addr[15] = (uint8_t)(1 + index);
  }
  return out;
}

static inline socklen_t address_size(int family) {
  return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

enum { kServerPort = 7700 };

/* Where the server of a kind is. */
static inline union address server_address(int family, int multicast) {
  union address out = {0};
  if (family == AF_INET) {
    out.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(kServerPort)};
    out.v4.sin_addr.s_addr = htonl(multicast ? 0xef4d0707 : INADDR_LOOPBACK); /* 239.77.7.7 */
  } else {
    out.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                   .sin6_port = htons(kServerPort),
                                   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  }
  return out;
}

#endif
