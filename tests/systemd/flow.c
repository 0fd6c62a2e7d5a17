// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: flow serve PORT SLOTS REPORT
//        flow send PORT MICROSECONDS
//
// The sender numbers its datagrams from 1 on, until SIGUSR1; its output is the last
// number.  It stays on one processor: each has a queue of its own for loopback.  The service
// receives each right into the next free slot of a file that its restarts share, so that being
// killed between receiving and noting cannot lose one.  SIGUSR1 makes it close its socket and end.
// A line in REPORT says what it was handed down at each start.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { kSlots = 1 << 18, kReceiveBuffer = 4 << 20 };

static volatile sig_atomic_t ends = 0;

static void end(int number) {
  (void)number;
  ends = 1;
}

static int fail(const char* what) {
  perror(what);
  return 1;
}

static struct sockaddr_in at(const char* port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static const char* variable(const char* name) {
  const char* const value = getenv(name);
  return value == NULL ? "-" : value;
}

static void report(const char* path, int fd) {
  FILE* const file = fopen(path, "a");
  struct stat status;
  if (file == NULL) return;
  fprintf(file, "fd %d LISTEN_FDS %s LISTEN_FDNAMES %s", fd, variable("LISTEN_FDS"),
          variable("LISTEN_FDNAMES"));
  for (int handed = 3; handed < 3 + atoi(variable("LISTEN_FDS")); ++handed) {
    int domain = -1;
    socklen_t size = sizeof domain;
    if (fstat(handed, &status) == 0) getsockopt(handed, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    fprintf(file, " %d:%s", handed, domain == AF_UNIX ? "unix" : domain == AF_INET ? "inet" : "?");
  }
  fprintf(file, "\n");
  fclose(file);
}

static int serve(const char* port, const char* slots_path, const char* report_path) {
  const int file = open(slots_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, kSlots * sizeof(uint64_t)) != 0) return fail(slots_path);
  uint64_t* const slots =
      mmap(NULL, kSlots * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (slots == MAP_FAILED) return fail("mmap");
  close(file);
  int next = 0;
  while (next < kSlots && slots[next] != 0) ++next;

  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const int room = kReceiveBuffer;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  const struct sockaddr_in address = at(port);
  if (bind(fd, (const struct sockaddr*)&address, sizeof address) != 0) return fail("bind");
  report(report_path, fd);
  while (!ends && next < kSlots) {
    if (recv(fd, &slots[next], sizeof *slots, 0) == sizeof *slots) {
      ++next;
    } else if (errno != EINTR) {
      return fail("recv");
    }
  }
  close(fd);
  return 0;
}

static int send_all(const char* port, long pause_us) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const struct sockaddr_in address = at(port);
  const struct timespec pause = {pause_us / 1000000, pause_us % 1000000 * 1000};
  uint64_t number = 0;
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  if (sched_setaffinity(0, sizeof first, &first) != 0) return fail("sched_setaffinity");
  while (!ends) {
    ++number;
    if (sendto(fd, &number, sizeof number, 0, (const struct sockaddr*)&address, sizeof address) !=
        sizeof number) {
      return fail("sendto");
    }
    nanosleep(&pause, NULL);
  }
  printf("%llu\n", (unsigned long long)number);
  return 0;
}

int main(int argc, char** argv) {
  const struct sigaction action = {.sa_handler = end};
  sigaction(SIGUSR1, &action, NULL);
  if (argc == 5 && strcmp(argv[1], "serve") == 0) return serve(argv[2], argv[3], argv[4]);
  if (argc == 4 && strcmp(argv[1], "send") == 0) return send_all(argv[2], atol(argv[3]));
  fprintf(stderr, "usage: flow serve PORT SLOTS REPORT | send PORT MICROSECONDS\n");
  return 2;
}
