// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the programs about adoption share.
#pragma once
#include "transparency.h"

#include <stdio.h>
#include <sys/epoll.h>

// 1, or what the environment says: the second way of a subject.
static int variant;

struct subject {
  const char* name;
  int (*run)(void);
};

static inline int run_subject(const struct subject* subjects, size_t count, const char* name) {
  const char* const asked = getenv("VARIANT");
  variant = asked == NULL ? 1 : atoi(asked);
  for (size_t i = 0; i < count; ++i) {
    if (strcmp(subjects[i].name, name) == 0) return subjects[i].run();
  }
  return 1;
}

static inline int fresh(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  MUST(fd >= 0);
  return fd;
}

static inline int switched_on(int fd, int option) {
  const int one = 1;
  MUST(setsockopt(fd, SOL_SOCKET, option, &one, sizeof one) == 0);
  return fd;
}

static inline int connect_to(int fd, const char* host, int port) {
  struct sockaddr_in peer = loopback(port);
  MUST(inet_pton(AF_INET, host, &peer.sin_addr) == 1);
  return connect(fd, (const struct sockaddr*)&peer, sizeof peer);
}

static inline int port_of(int fd) {
  struct sockaddr_in name = {0};
  socklen_t size = sizeof name;
  MUST(getsockname(fd, (struct sockaddr*)&name, &size) == 0);
  return ntohs(name.sin_port);
}

static inline void say_names(const char* what, int fd) {
  struct sockaddr_in name = {0};
  socklen_t size = sizeof name;
  char here[32] = "?";
  char there[32] = "nobody";
  MUST(getsockname(fd, (struct sockaddr*)&name, &size) == 0);
  inet_ntop(AF_INET, &name.sin_addr, here, sizeof here);
  const int port = ntohs(name.sin_port);
  size = sizeof name;
  if (getpeername(fd, (struct sockaddr*)&name, &size) == 0) {
    inet_ntop(AF_INET, &name.sin_addr, there, sizeof there);
  } else {
    name.sin_port = 0;
  }
  say("%s: fd %d of %s:%d to %s:%d", what, fd, here, port, there, ntohs(name.sin_port));
}

static inline void say_option(const char* name, int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  report(name, getsockopt(fd, level, option, &value, &size));
  say("%s is %d", name, value);
}

static inline int by_data(const void* one, const void* other) {
  const unsigned long first = ((const struct epoll_event*)one)->data.u64;
  const unsigned long second = ((const struct epoll_event*)other)->data.u64;
  return first < second ? -1 : first > second;
}

// The test sends to these.
static inline void write_ports(const int* fds, int count) {
  FILE* const file = fopen("ports", "w");
  MUST(file != NULL);
  for (int i = 0; i < count; ++i) fprintf(file, "%d\n", port_of(fds[i]));
  fclose(file);
}

static inline int finish(const int* fds, int count) {
  write_ports(fds, count);
  await_test();
  for (int i = 0; i < count; ++i) {
    say("socket %d:", i);
    say_queued(fds[i]);
  }
  say("end");
  return 0;
}

static inline void set(const char* name, int fd, int level, int option, int value) {
  report(name, setsockopt(fd, level, option, &value, sizeof value));
}

static inline void add(const char* name, int epoll, int fd, unsigned events, unsigned long data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  report(name, epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static inline void say_events(const char* name, int epoll) {
  struct epoll_event events[8];
  int count;
  do count = epoll_wait(epoll, events, 8, 200);
  while (count < 0 && errno == EINTR);
  say("%s: %d events", name, count);
  if (count > 0) qsort(events, (size_t)count, sizeof events[0], by_data);
  for (int i = 0; i < count; ++i) {
    say("  %x for %lx", events[i].events, (unsigned long)events[i].data.u64);
  }
}
