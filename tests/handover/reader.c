/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: reader FAMILY PORT RCVBUF   (FAMILY 4 or 6)
 *
 * Two threads receive straight into a slot of a shared file for each datagram,
 * so that taken and recorded are one instant: the kernel writes the slot while
 * it takes the datagram, and a program that ends leaves no doubt behind.
 *
 * The file is READER_FILE of the environment; READER_PAUSE is how many
 * microseconds each thread works after a datagram.  Arguments stay the same
 * for old and new, so that the new one may take the old one's image.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kSlots = 1 << 17 };

struct shared {
  _Atomic uint64_t next;
  uint64_t slot[kSlots];
};

static struct shared* shared;
static int udp;
static long pause_us;

static void die(const char* what) {
  perror(what);
  exit(1);
}

static void* reader(void* unused) {
  (void)unused;
  for (;;) {
    const uint64_t mine = atomic_fetch_add(&shared->next, 1);
    if (mine >= kSlots) {
      fprintf(stderr, "more datagrams than the %d slots\n", kSlots);
      exit(1);
    }
    while (recv(udp, &shared->slot[mine], sizeof shared->slot[mine], 0) < 0) {
      if (errno != EINTR) die("recv");
    }
    if (pause_us > 0) {
      const struct timespec pause = {0, pause_us * 1000};
      nanosleep(&pause, NULL);
    }
  }
  return NULL;
}

int main(int argc, char** argv) {
  const char* const file = getenv("READER_FILE");
  const char* const pause = getenv("READER_PAUSE");
  if (argc != 4 || file == NULL) return 2;
  pause_us = pause != NULL ? atol(pause) : 0;
  const int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (fd < 0 || ftruncate(fd, sizeof(struct shared)) != 0) die(file);
  shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared == MAP_FAILED) die("mmap");
  /* No page fault while a datagram is taken. */
  memset(shared->slot, 0, sizeof shared->slot);

  const int family = atoi(argv[1]) == 6 ? AF_INET6 : AF_INET;
  const uint16_t port = htons((uint16_t)atoi(argv[2]));
  int buffer = atoi(argv[3]);
  udp = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (udp < 0) die("socket");
  if (buffer > 0 && setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0) {
    die("SO_RCVBUFFORCE");
  }
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
  if (family == AF_INET ? bind(udp, (struct sockaddr*)&v4, sizeof v4) != 0
                        : bind(udp, (struct sockaddr*)&v6, sizeof v6) != 0) {
    die("bind");
  }
  puts("ready");
  fflush(stdout);
  pthread_t other;
  if (pthread_create(&other, NULL, reader, NULL) != 0) die("pthread_create");
  reader(NULL);
}
