// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: adoption_state SUBJECT
//
// What a socket is given before and after it is named.  VARIANT=2 in the
// environment: some of it is something else.
#include "adoption.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

// Those of this run win over those of the image.
static int options(void) {
  const int fd = fresh();
  set("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF, variant == 2 ? 30000 : 20000);
  set("SO_TIMESTAMPNS", fd, SOL_SOCKET, SO_TIMESTAMPNS, variant != 2);
  set("SO_TIMESTAMPING", fd, SOL_SOCKET, SO_TIMESTAMPING, variant == 2 ? 8 : 24);
  set("IP_TTL", fd, IPPROTO_IP, IP_TTL, variant == 2 ? 44 : 33);
  report("bind", bind_loopback(fd, 5300));
  set("IP_TOS", fd, IPPROTO_IP, IP_TOS, variant == 2 ? 16 : 8);
  set("IP_PKTINFO", fd, IPPROTO_IP, IP_PKTINFO, variant == 2);
  say_option("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF);
  say_option("SO_TIMESTAMPNS", fd, SOL_SOCKET, SO_TIMESTAMPNS);
  say_option("SO_TIMESTAMPING", fd, SOL_SOCKET, SO_TIMESTAMPING);
  say_option("IP_TTL", fd, IPPROTO_IP, IP_TTL);
  say_option("IP_TOS", fd, IPPROTO_IP, IP_TOS);
  say_option("IP_PKTINFO", fd, IPPROTO_IP, IP_PKTINFO);
  return finish(&fd, 1);
}

static void ignore(int signal) { (void)signal; }

static int flags(void) {
  MUST(signal(SIGIO, ignore) != SIG_ERR);
  const int kind = variant == 2 ? SOCK_NONBLOCK : SOCK_CLOEXEC;
  const int fd = socket(AF_INET, SOCK_DGRAM | kind, 0);
  MUST(fd >= 0);
  const int other = fcntl(fd, F_DUPFD_CLOEXEC, 20);
  if (variant == 2) report("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
  if (variant == 2) report("O_ASYNC", fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK));
  report("bind", bind_loopback(fd, 5300));
  say("flags %d and %d, of the file %x", fcntl(fd, F_GETFD), fcntl(other, F_GETFD),
      (unsigned)fcntl(other, F_GETFL));
  if (variant == 2) say("owner is us: %d", fcntl(fd, F_GETOWN) == getpid());
  return finish(&fd, 1);
}

static void* await_event(void* epoll) {
  struct epoll_event event;
  while (epoll_wait(*(int*)epoll, &event, 1, -1) < 0 && errno == EINTR) {
  }
  return (void*)(unsigned long)event.data.u64;
}

static int epolls(void) {
  const int fd = fresh();
  const int same = dup(fd);
  int level = epoll_create1(0);
  int edge = epoll_create1(EPOLL_CLOEXEC);
  int waited = epoll_create1(0);
  int left = epoll_create1(0);
  pthread_t waiter;
  MUST(pthread_create(&waiter, NULL, await_event, &waited) == 0);
  usleep(20 * 1000);
  add("level", level, fd, EPOLLIN, 0x1111222233334444);
  add("level of the other fd", level, same, EPOLLIN, 0x5555);
  add("once", edge, fd, EPOLLIN | EPOLLET, 0x6666);
  struct epoll_event changed = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 0x7777};
  report("once, changed", epoll_ctl(edge, EPOLL_CTL_MOD, fd, &changed));
  add("edge", edge, same, EPOLLIN | EPOLLET, 0x8888);
  add("waited", waited, fd, EPOLLIN, 0x9999);
  add("left", left, fd, EPOLLIN, 0xaaaa);
  report("left, taken off", epoll_ctl(left, EPOLL_CTL_DEL, fd, NULL));
  report("bind", bind_loopback(fd, 5300));
  add("level again", level, fd, EPOLLIN, 1);
  await_test();
  say_events("level", level);
  say_events("edge", edge);
  say_events("edge again", edge);
  say_events("left", left);
  void* data = NULL;
  MUST(pthread_join(waiter, &data) == 0);
  say("the thread got %lx", (unsigned long)data);
  report("taken off", epoll_ctl(level, EPOLL_CTL_DEL, fd, NULL));
  say_queued(fd);
  say("end");
  return 0;
}

static void group(const char* name, int fd, int option) {
  struct ip_mreqn request = {.imr_ifindex = 1};
  MUST(inet_pton(AF_INET, "239.1.2.3", &request.imr_multiaddr) == 1);
  report(name, setsockopt(fd, IPPROTO_IP, option, &request, sizeof request));
}

static void source(const char* name, int fd, int option, const char* host) {
  struct group_source_req request;
  memset(&request, variant, sizeof request);  // its holes hold anything
  request.gsr_interface = 1;
  struct sockaddr_in address = {.sin_family = AF_INET};
  MUST(inet_pton(AF_INET, "239.1.2.4", &address.sin_addr) == 1);
  memcpy(&request.gsr_group, &address, sizeof address);
  MUST(inet_pton(AF_INET, host, &address.sin_addr) == 1);
  memcpy(&request.gsr_source, &address, sizeof address);
  report(name, setsockopt(fd, IPPROTO_IP, option, &request, sizeof request));
}

static void group6(const char* name, int fd, int option) {
  struct ipv6_mreq request = {.ipv6mr_interface = 1};
  MUST(inet_pton(AF_INET6, "ff02::1234", &request.ipv6mr_multiaddr) == 1);
  report(name, setsockopt(fd, IPPROTO_IPV6, option, &request, sizeof request));
}

static int groups(void) {
  int fds[2] = {fresh(), fresh()};
  group("join before bind", fds[0], IP_ADD_MEMBERSHIP);
  report("bind", bind_loopback(fds[0], 5300));
  report("bind", bind_loopback(fds[1], 5301));
  group("join again", fds[0], IP_ADD_MEMBERSHIP);
  group("join", fds[1], IP_ADD_MEMBERSHIP);
  group("join again", fds[1], IP_ADD_MEMBERSHIP);
  group("leave", fds[1], IP_DROP_MEMBERSHIP);
  group("leave again", fds[1], IP_DROP_MEMBERSHIP);
  group("join", fds[1], IP_ADD_MEMBERSHIP);
  group("join again", fds[1], IP_ADD_MEMBERSHIP);
  source("source", fds[0], MCAST_JOIN_SOURCE_GROUP, "127.0.0.2");
  source("source again", fds[0], MCAST_JOIN_SOURCE_GROUP, "127.0.0.2");
  source("another", fds[0], MCAST_JOIN_SOURCE_GROUP, "127.0.0.3");
  source("another, left", fds[0], MCAST_LEAVE_SOURCE_GROUP, "127.0.0.3");
  source("another, left again", fds[0], MCAST_LEAVE_SOURCE_GROUP, "127.0.0.3");
  source("another", fds[0], MCAST_JOIN_SOURCE_GROUP, "127.0.0.3");
  const int six = socket(AF_INET6, SOCK_DGRAM, 0);
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(5302)};
  report("bind IPv6", bind(six, (const struct sockaddr*)&address, sizeof address));
  group6("join IPv6", six, IPV6_ADD_MEMBERSHIP);
  group6("join IPv6 again", six, IPV6_ADD_MEMBERSHIP);
  group6("leave IPv6", six, IPV6_DROP_MEMBERSHIP);
  group6("join IPv6", six, IPV6_ADD_MEMBERSHIP);
  return finish(fds, 2);
}

static const struct subject subjects[] = {
    {"options", options}, {"flags", flags}, {"epolls", epolls}, {"groups", groups}};

int main(int count, char** arguments) {
  MUST(count == 2);
  return run_subject(subjects, sizeof subjects / sizeof subjects[0], arguments[1]);
}
