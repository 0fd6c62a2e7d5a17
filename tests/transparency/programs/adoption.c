// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: adoption SUBJECT
//
// Ways of making sockets and naming them.  VARIANT=2 in the environment: some
// of them ask for something else.
#include "adoption.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

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

// The child binds, and both go on with it.
static int shared(void) {
  const int fd = fresh();
  const int other = dup(fd);
  int bound[2];
  MUST(pipe(bound) == 0);
  const pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    MUST(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0);
    report("bind by the child", bind_loopback(fd, 5300));
    MUST(write(bound[1], "b", 1) == 1);
    for (;;) pause();
  }
  char byte;
  MUST(read(bound[0], &byte, 1) == 1);
  say_names("the parent's", fd);
  say_names("the parent's other", other);
  set("IP_TTL", fd, IPPROTO_IP, IP_TTL, 55);
  say_option("IP_TTL", other, IPPROTO_IP, IP_TTL);
  return finish(&other, 1);
}

// A listener becomes the connection of its first client and another listens.
static int listener(void) {
  int fds[3];
  const int epoll = epoll_create1(0);
  for (int i = 0; i < 3; ++i) {
    fds[i] = switched_on(fresh(), SO_REUSEADDR);
    report("bind", bind_loopback(fds[i], 5300));
    if (i == 0) add("listener", epoll, fds[i], EPOLLIN, 0x11);
    if (i == 0) set("SO_RCVBUF", fds[i], SOL_SOCKET, SO_RCVBUF, 50000);
    if (i < 2) set("IP_TTL", fds[i], IPPROTO_IP, IP_TTL, 77 + i);
    if (i < 2) report("connect", connect_to(fds[i], "127.0.0.2", 4002 + 2 * i));
  }
  for (int i = 0; i < 3; ++i) say_names("socket", fds[i]);
  for (int i = 0; i < 3; ++i) say_option("IP_TTL", fds[i], IPPROTO_IP, IP_TTL);
  for (int i = 0; i < 3; ++i) say_option("SO_RCVBUF", fds[i], SOL_SOCKET, SO_RCVBUF);
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

static const struct subject subjects[] = {{"occurrence", occurrence},
                                          {"kernel_ports", kernel_ports},
                                          {"kinds", kinds},
                                          {"duplicates", duplicates},
                                          {"threads", threads},
                                          {"close_while_binding", close_while_binding},
                                          {"forked", forked},
                                          {"shared", shared},
                                          {"listener", listener},
                                          {"connected", connected},
                                          {"bound_and_connected", bound_and_connected},
                                          {"refused", refused},
                                          {"never", never}};

int main(int count, char** arguments) {
  MUST(count == 2);
  return run_subject(subjects, sizeof subjects / sizeof subjects[0], arguments[1]);
}
