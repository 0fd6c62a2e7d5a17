// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: adoption SUBJECT
//
// Ways of making a socket and naming it.  VARIANT=2 in the environment: some
// of them ask for something else.
#include "transparency.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static int variant;

static int fresh(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  MUST(fd >= 0);
  return fd;
}

static int switched_on(int fd, int option) {
  const int one = 1;
  MUST(setsockopt(fd, SOL_SOCKET, option, &one, sizeof one) == 0);
  return fd;
}

static int connect_to(int fd, const char* host, int port) {
  struct sockaddr_in peer = loopback(port);
  MUST(inet_pton(AF_INET, host, &peer.sin_addr) == 1);
  return connect(fd, (const struct sockaddr*)&peer, sizeof peer);
}

static int port_of(int fd) {
  struct sockaddr_in name = {0};
  socklen_t size = sizeof name;
  MUST(getsockname(fd, (struct sockaddr*)&name, &size) == 0);
  return ntohs(name.sin_port);
}

static void say_names(const char* what, int fd) {
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

static void say_option(const char* name, int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  report(name, getsockopt(fd, level, option, &value, &size));
  say("%s is %d", name, value);
}

static int by_data(const void* one, const void* other) {
  const unsigned long first = ((const struct epoll_event*)one)->data.u64;
  const unsigned long second = ((const struct epoll_event*)other)->data.u64;
  return first < second ? -1 : first > second;
}

// The test sends to these.
static void write_ports(const int* fds, int count) {
  FILE* const file = fopen("ports", "w");
  MUST(file != NULL);
  for (int i = 0; i < count; ++i) fprintf(file, "%d\n", port_of(fds[i]));
  fclose(file);
}

static int finish(const int* fds, int count) {
  write_ports(fds, count);
  await_test();
  for (int i = 0; i < count; ++i) {
    say("socket %d:", i);
    say_queued(fds[i]);
  }
  say("end");
  return 0;
}

static int occurrence(void) {
  int fds[4];
  for (int i = 0; i < 4; ++i) {
    fds[i] = switched_on(fresh(), SO_REUSEPORT);
    report("bind", bind_loopback(fds[i], 5300));
  }
  return finish(fds, 4);
}

static int kernel_ports(void) {
  int fds[3];
  for (int i = 0; i < 3; ++i) {
    fds[i] = fresh();
    report("bind", bind_loopback(fds[i], i == 1 ? 5300 : 0));
  }
  return finish(fds, 3);
}

static int kinds(void) {
  const int one = 1;
  int fds[4];
  fds[0] = fresh();
  MUST(setsockopt(fds[0], SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(5300)};
  report("bind device", bind(fds[0], (const struct sockaddr*)&any, sizeof any));
  fds[1] = socket(AF_INET6, SOCK_DGRAM, 0);
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(5300)};
  MUST(setsockopt(fds[1], IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0);
  report("bind IPv6", bind(fds[1], (const struct sockaddr*)&six, sizeof six));
  fds[2] = socket(AF_INET6, SOCK_DGRAM, 0);
  MUST(inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr) == 1);
  six.sin6_port = htons(5301);
  report("bind mapped", bind(fds[2], (const struct sockaddr*)&six, sizeof six));
  fds[3] = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
  if (fds[3] < 0) fds[3] = fresh();
  report("bind UDP-Lite", bind_loopback(fds[3], 5302));
  say_option("domain", fds[2], SOL_SOCKET, SO_DOMAIN);
  return finish(fds, 3);
}

static void set(const char* name, int fd, int level, int option, int value) {
  report(name, setsockopt(fd, level, option, &value, sizeof value));
}

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

static int duplicates(void) {
  int fds[4] = {fresh()};
  fds[1] = dup(fds[0]);
  fds[2] = fcntl(fds[0], F_DUPFD, 30);
  fds[3] = dup2(fds[0], 40);
  report("bind of the second", bind_loopback(fds[1], 5300));
  for (int i = 0; i < 4; ++i) say_names("name", fds[i]);
  unsigned long cookies[4] = {0};
  for (int i = 0; i < 4; ++i) {
    socklen_t size = sizeof cookies[i];
    MUST(getsockopt(fds[i], SOL_SOCKET, SO_COOKIE, &cookies[i], &size) == 0);
  }
  say("one cookie: %d", cookies[0] != 0 && cookies[0] == cookies[1] && cookies[1] == cookies[2] &&
                            cookies[2] == cookies[3]);
  close(fds[1]);
  fds[1] = fds[3];
  return finish(fds, 2);
}

static void add(const char* name, int epoll, int fd, unsigned events, unsigned long data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  report(name, epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static void say_events(const char* name, int epoll) {
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

struct Binder {
  int port;
  int fd;
  int error;
};
static pthread_barrier_t gate;

static void* bind_one(void* argument) {
  struct Binder* const binder = argument;
  pthread_barrier_wait(&gate);
  binder->error = bind_loopback(binder->fd, binder->port) == 0 ? 0 : errno;
  return NULL;
}

// Different ports, and one that they share: whichever comes first.
static int threads(void) {
  enum { kThreads = 8 };
  struct Binder binders[kThreads];
  pthread_t ids[kThreads];
  int fds[kThreads];
  MUST(pthread_barrier_init(&gate, NULL, kThreads) == 0);
  for (int i = 0; i < kThreads; ++i) {
    const int shared = i >= kThreads / 2;
    binders[i] = (struct Binder){shared ? 5300 : 5301 + i, fresh(), -1};
    if (shared) switched_on(binders[i].fd, SO_REUSEPORT);
  }
  for (int i = 0; i < kThreads; ++i) {
    MUST(pthread_create(&ids[i], NULL, bind_one, &binders[i]) == 0);
  }
  for (int i = 0; i < kThreads; ++i) {
    MUST(pthread_join(ids[i], NULL) == 0);
    fds[i] = binders[i].fd;
    say("bind to %d: %d", binders[i].port, binders[i].error);
    say_names("thread", fds[i]);
  }
  write_ports(fds, kThreads);
  await_test();
  int shared = 0;
  char byte;
  for (int i = 0; i < kThreads / 2; ++i) say_queued(fds[i]);
  for (int i = kThreads / 2; i < kThreads; ++i) {
    while (recv(fds[i], &byte, 1, MSG_DONTWAIT) >= 0) ++shared;
  }
  say("datagrams of the port that they share: %d", shared);
  say("end");
  return 0;
}

static volatile int closing;

static void* close_numbers(void* unused) {
  (void)unused;
  while (!closing) {
    for (int fd = 10; fd < 20; ++fd) close(fd);
  }
  return NULL;
}

// Nothing that is closed in the middle comes back, and nothing else is closed.
static int close_while_binding(void) {
  enum { kSockets = 100 };
  pthread_t closer;
  int fds[kSockets];
  MUST(pthread_create(&closer, NULL, close_numbers, NULL) == 0);
  for (int i = 1; i < kSockets; ++i) {
    const int fd = fresh();
    const int high = fcntl(fd, F_DUPFD, 10);
    close(fd);
    if (high < 0 || high >= 20) continue;
    bind_loopback(high, 5300 + i);
    close(high);
  }
  closing = 1;
  MUST(pthread_join(closer, NULL) == 0);
  for (int number = 10; number < 20; ++number) close(number);
  for (int i = 0; i < kSockets; ++i) {
    fds[i] = fresh();
    say("fd %d", fds[i]);
    report("bind", bind_loopback(fds[i], 5300 + i));
  }
  return finish(fds, 1);
}

// A daemon: the child goes on, the parent has other things to do.
static int forked(void) {
  const int fd = fresh();
  const int other = switched_on(fresh(), SO_REUSEADDR);
  const pid_t child = fork();
  MUST(child >= 0);
  if (child > 0) {
    int status = 0;
    close(fd);
    close(other);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  }
  MUST(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0);
  const int fds[] = {fd, other};
  report("bind", bind_loopback(fd, 5300));
  report("bind", bind_loopback(other, 5301));
  return finish(fds, 2);
}

// A listener becomes the connection of its first client and another listens.
static int listener(void) {
  int fds[3];
  const int epoll = epoll_create1(0);
  for (int i = 0; i < 3; ++i) {
    fds[i] = switched_on(fresh(), SO_REUSEADDR);
    report("bind", bind_loopback(fds[i], 5300));
    if (i == 0) add("listener", epoll, fds[i], EPOLLIN, 0x11);
    set("IP_TTL", fds[i], IPPROTO_IP, IP_TTL, 77);
    if (i < 2) report("connect", connect_to(fds[i], "127.0.0.2", 4002 + 2 * i));
  }
  for (int i = 0; i < 3; ++i) say_names("socket", fds[i]);
  say_option("IP_TTL", fds[0], IPPROTO_IP, IP_TTL);
  write_ports(fds, 3);
  await_test();
  say_events("listener", epoll);
  for (int i = 0; i < 3; ++i) {
    say("socket %d:", i);
    say_queued(fds[i]);
  }
  say("end");
  return 0;
}

static int connected(void) {
  const int fd = fresh();
  report("connect", connect_to(fd, "127.0.0.2", 4002));
  struct sockaddr_in name = {0};
  socklen_t size = sizeof name;
  report("getpeername", getpeername(fd, (struct sockaddr*)&name, &size));
  say("peer %s:%d", inet_ntoa(name.sin_addr), ntohs(name.sin_port));
  report("connect again", connect_to(fd, "127.0.0.2", 4002));
  return finish(&fd, 1);
}

static int bound_and_connected(void) {
  const struct sockaddr none = {.sa_family = AF_UNSPEC};
  int fds[2];
  for (int i = 0; i < 2; ++i) {
    fds[i] = fresh();
    report("bind", bind_loopback(fds[i], 5300 + i));
    say_names("bound", fds[i]);
    report("connect", connect_to(fds[i], "127.0.0.2", 4002));
    say_names("connected", fds[i]);
  }
  report("connect to none", connect(fds[1], &none, sizeof none));
  say_names("dissolved", fds[1]);
  report("connect again", connect_to(fds[1], "127.0.0.3", 4003));
  say_names("connected", fds[1]);
  return finish(fds, 2);
}

static void bind_to(const char* name, int fd, int family, const char* host, int port,
                    socklen_t size) {
  struct sockaddr_in address = {.sin_family = (sa_family_t)family,
                                .sin_port = htons((unsigned short)port)};
  MUST(inet_pton(AF_INET, host, &address.sin_addr) == 1);
  report(name, bind(fd, (const struct sockaddr*)&address, size));
}

static int refused(void) {
  const socklen_t whole = sizeof(struct sockaddr_in);
  const int fd = fresh();
  bind_to("an address of nobody", fd, AF_INET, "203.0.113.1", 5300, whole);
  bind_to("too short", fd, AF_INET, "127.0.0.1", 5300, whole - 9);
  bind_to("another family", fd, AF_UNIX, "127.0.0.1", 5300, whole);
  bind_to("no family", fd, AF_UNSPEC, "127.0.0.1", 5300, whole);
  report("no address", bind(fd, NULL, whole));
  bind_to("no socket", 0, AF_INET, "127.0.0.1", 5300, whole);
  bind_to("no fd", 99, AF_INET, "127.0.0.1", 5300, whole);
  bind_to("bind", fd, AF_INET, "127.0.0.1", 5300, whole);
  bind_to("bind again", fd, AF_INET, "127.0.0.1", 5300, whole);
  bind_to("bind elsewhere", fd, AF_INET, "127.0.0.1", 5301, whole);
  const int second = fresh();
  bind_to("in use", second, AF_INET, "127.0.0.1", 5300, whole);
  switched_on(second, SO_REUSEADDR);
  bind_to("in use without SO_REUSEADDR", second, AF_INET, "127.0.0.1", 5300, whole);
  switched_on(second, SO_REUSEPORT);
  bind_to("in use without SO_REUSEPORT", second, AF_INET, "127.0.0.1", 5300, whole);
  bind_to("no family, any address", second, AF_UNSPEC, "0.0.0.0", 5302, whole);
  say_names("any", second);
  const int sender = fresh();
  const struct sockaddr_in target = loopback(9);
  MUST(sendto(sender, "", 0, 0, (const struct sockaddr*)&target, sizeof target) == 0);
  bind_to("after sending", sender, AF_INET, "127.0.0.1", 5303, whole);
  close(sender);
  const int third = fresh();
  bind_to("bind", third, AF_INET, "127.0.0.1", 5303, whole);
  MUST(seteuid(65534) == 0);
  const int last = fresh();
  bind_to("not allowed", last, AF_INET, "127.0.0.1", 53, whole);
  close(last);
  MUST(seteuid(0) == 0);
  const int fds[] = {fd, second, third};
  return finish(fds, 3);
}

// It makes the sockets that it had, and binds another port.
static int never(void) {
  const int fd = fresh();
  report("bind", bind_loopback(fd, variant == 2 ? 5301 : 5300));
  return finish(&fd, 1);
}

static const struct {
  const char* name;
  int (*run)(void);
} subjects[] = {{"occurrence", occurrence}, {"kernel_ports", kernel_ports},
                {"kinds", kinds},           {"options", options},
                {"flags", flags},           {"duplicates", duplicates},
                {"epolls", epolls},         {"groups", groups},
                {"threads", threads},       {"close_while_binding", close_while_binding},
                {"forked", forked},         {"listener", listener},
                {"connected", connected},   {"bound_and_connected", bound_and_connected},
                {"refused", refused},       {"never", never}};

int main(int count, char** arguments) {
  MUST(count == 2);
  const char* const asked = getenv("VARIANT");
  variant = asked == NULL ? 1 : atoi(asked);
  for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; ++i) {
    if (strcmp(subjects[i].name, arguments[1]) == 0) return subjects[i].run();
  }
  return 1;
}
