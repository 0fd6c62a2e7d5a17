// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: park WAY
//
// Sockets that are bound and closed, in one of many ways: as soon as the last fd
// is closed the port is free, and nothing else is left of the socket either.
#include "transparency.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define PORT 5300
#define TIMES 10000

static int fresh(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  MUST(fd >= 0);
  return fd;
}

// Whether a socket can be bound to it now.
static void say_port(const char* when, int port) {
  const int fd = fresh();
  say("port %d %s: %s", port, when, bind_loopback(fd, port) == 0 ? "free" : strerrorname_np(errno));
  MUST(close(fd) == 0);
}

static void send_from(int sender, int port, int count) {
  const struct sockaddr_in to = loopback(port);
  for (int i = 0; i < count; ++i) {
    MUST(sendto(sender, "datagram", 8, 0, (const struct sockaddr*)&to, sizeof to) == 8);
  }
}

static int count_queued(int fd) {
  char payload[16];
  int count = 0;
  while (recv(fd, payload, sizeof payload, MSG_DONTWAIT) == 8) ++count;
  return count;
}

static void rebind(void) {
  static const struct {
    int family;
    int protocol;
  } kinds[] = {{AF_INET, 0}, {AF_INET6, 0}, {AF_INET, IPPROTO_UDPLITE}};
  const struct sockaddr_in address = loopback(PORT);
  const struct sockaddr_in6 address6 = {
      .sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; ++kind) {
    const int is6 = kinds[kind].family == AF_INET6;
    int refused = 0;
    for (int i = 0; i < TIMES; ++i) {
      const int fd = socket(kinds[kind].family, SOCK_DGRAM, kinds[kind].protocol);
      errno = ENOTTY;
      if (bind(fd, is6 ? (const struct sockaddr*)&address6 : (const struct sockaddr*)&address,
               is6 ? sizeof address6 : sizeof address) != 0) {
        ++refused;
      } else {
        MUST(errno == ENOTTY);
      }
      MUST(close(fd) == 0);
      MUST(errno == ENOTTY || refused > 0);
    }
    say("kind %zu: %d of %d times its port was not free", kind, refused, TIMES);
  }
}

// Of a connected socket alone.
static void connected(void) {
  const struct sockaddr_in peer = loopback(4000);
  int refused = 0;
  for (int i = 0; i < TIMES / 10; ++i) {
    struct sockaddr_in name;
    socklen_t size = sizeof name;
    const int fd = fresh();
    MUST(connect(fd, (const struct sockaddr*)&peer, sizeof peer) == 0);
    MUST(getsockname(fd, (struct sockaddr*)&name, &size) == 0);
    MUST(close(fd) == 0);
    const int next = fresh();
    if (bind(next, (const struct sockaddr*)&name, size) != 0) ++refused;
    MUST(close(next) == 0);
  }
  say("%d times the port of a connected socket was not free", refused);
  const int fd = fresh();
  const struct sockaddr_in nobody = {.sin_family = AF_UNSPEC};
  report("connect", connect(fd, (const struct sockaddr*)&peer, sizeof peer));
  report("disconnect", connect(fd, (const struct sockaddr*)&nobody, sizeof nobody));
  report("bind", bind_loopback(fd, PORT));
  say_port("while it is bound", PORT);
  report("close", close(fd));
  say_port("after", PORT);
}

static void copies(void) {
  const int null = open("/dev/null", O_RDWR);
  int fd = udp_socket(PORT);
  int copy = dup(fd);
  report("close of one of two", close(fd));
  say_port("with the other", PORT);
  report("close of the other", close(copy));
  say_port("after both", PORT);

  fd = udp_socket(PORT);
  report("dup2 over itself", dup2(fd, fd) - fd);
  report("dup3 over itself", dup3(fd, fd, 0));
  say_port("after that", PORT);
  copy = fcntl(fd, F_DUPFD_CLOEXEC, 50);
  report("dup2 over its copy", dup2(fd, copy));
  say_port("after that", PORT);
  report("dup2 of none over it", dup2(999, fd));
  report("dup3 with a wrong flag", dup3(null, fd, O_NONBLOCK));
  say_port("after that", PORT);
  report("dup2 over it", dup2(null, fd) - fd);
  say_port("with its copy", PORT);
  report("dup3 over its copy", dup3(null, copy, O_CLOEXEC));
  say_port("after both", PORT);
  report("close of the copied over", close(fd) + close(copy));

  // One takes the number of the other.
  fd = udp_socket(PORT);
  copy = udp_socket(PORT + 1);
  report("dup2 of a socket over another", dup2(copy, fd) - fd);
  say_port("after it", PORT);
  say_port("after it", PORT + 1);
  report("close", close(copy));
  say_port("with its copy", PORT + 1);
  report("close", close(fd));
  say_port("after both", PORT + 1);
  close(null);
}

static void bind_three(int from) {
  for (int i = 0; i < 3; ++i) {
    const int fd = udp_socket(PORT + i);
    MUST(dup2(fd, from + i) == from + i);
    MUST(close(fd) == 0);
  }
}

static void say_three(const char* when) {
  for (int i = 0; i < 3; ++i) say_port(when, PORT + i);
}

static void ranges(void) {
  bind_three(40);
  report("close_range of others", close_range(60, 90, 0));
  say_three("after others were closed");
  report("close_range that marks", close_range(40, 41, CLOSE_RANGE_CLOEXEC));
  say_three("after they were marked");
  report("close_range of two", close_range(41, 42, 0));
  say_three("after two were closed");
  report("close_range of all", close_range(30, ~0U, 0));
  say_three("after all were closed");
  bind_three(40);
  report("close_range in a table of its own", close_range(40, 60, CLOSE_RANGE_UNSHARE));
  say_three("after that");
  bind_three(40);
  report("close_range of nothing", close_range(41, 40, 0));
  report("close_range with a wrong flag", close_range(40, 41, 64));
  say_three("after both");
  closefrom(41);
  say_three("after closefrom");
  closefrom(3);
  say_three("after closefrom of all");
}

static long close_by(int way, int fd) {
  switch (way) {
    case 0:
      return close(fd);
    case 1:
      return dup2(0, fd) - fd;
    case 2:
      return dup3(0, fd, O_CLOEXEC) - fd;
    case 3:
      return close_range((unsigned)fd, (unsigned)fd, 0);
    case 4:
      return syscall(SYS_close, fd);
    default:
      closefrom(fd);
      return 0;
  }
}

static void polled(void) {
  struct epoll_event event = {.events = EPOLLIN};
  const int epoll = epoll_create1(0);
  const int sender = fresh();
  for (int way = 0; way < 12; ++way) {
    const int copy = fcntl(0, F_DUPFD, 20);
    const int fd = udp_socket(PORT);
    if (way % 2 == 1) MUST(dup2(fd, copy) == copy);
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    send_from(sender, PORT, 3);
    report("epoll before the close", epoll_wait(epoll, &event, 1, 1000));
    report("close", close_by(way / 2, fd));
    report("epoll after the close", epoll_wait(epoll, &event, 1, 0));
    close(copy);
    report("epoll at the end", epoll_wait(epoll, &event, 1, 0));
    close(fd);
  }
}

// A peer is told that there is nobody any more.
static void peers(void) {
  const struct sockaddr_in address = loopback(PORT);
  const int peer = fresh();
  MUST(connect(peer, (const struct sockaddr*)&address, sizeof address) == 0);
  int fd = udp_socket(PORT);
  report("send", send(peer, "datagram", 8, 0));
  report("next send", send(peer, "datagram", 8, 0));
  report("received", count_queued(fd));
  report("shutdown", shutdown(fd, SHUT_RDWR));
  const struct sockaddr_in sender = loopback(4000);
  report("connect", connect(fd, (const struct sockaddr*)&sender, sizeof sender));
  report("shutdown", shutdown(fd, SHUT_RDWR));
  report("receive after it", recv(fd, &(char){0}, 1, MSG_DONTWAIT));
  say_port("after shutdown", PORT);
  report("close", close(fd));
  report("send", send(peer, "datagram", 8, 0));
  report("next send", send(peer, "datagram", 8, 0));
  fd = udp_socket(PORT);
  report("send", send(peer, "datagram", 8, 0));
  report("received", count_queued(fd));
  report("close", close(fd) + close(peer));
}

// What is closed has no share of what comes.
static void group(void) {
  int members[4];
  int received = 0;
  for (int i = 0; i < 4; ++i) {
    members[i] = fresh();
    MUST(setsockopt(members[i], SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) == 0);
    MUST(bind_loopback(members[i], PORT) == 0);
  }
  MUST(close(members[0]) == 0);
  MUST(dup2(members[1], members[2]) == members[2]);
  FILE* const file = fdopen(members[2], "r");
  MUST(file != NULL);
  MUST(close(members[1]) == 0);
  for (int i = 0; i < 200; ++i) {
    const int sender = fresh();
    send_from(sender, PORT, 1);
    close(sender);
  }
  say("of 200 datagrams came: %d", count_queued(members[2]) + count_queued(members[3]));
  MUST(fclose(file) == 0);
  MUST(close(members[3]) == 0);
  received = udp_socket(PORT);
  report("close", close(received));
}

// By calls that are not interposed.
static void unseen(void) {
  int fd = udp_socket(PORT);
  FILE* file = fdopen(fd, "r+");
  report("fclose", fclose(file));
  fd = udp_socket(PORT);
  report("close by number", syscall(SYS_close, fd));
  report("close by number of none", syscall(SYS_close, fd));
  say_port("after it", PORT);
  fd = udp_socket(PORT);
  const int copy = (int)syscall(SYS_dup, fd);
  report("close of one of two", close(fd));
  say_port("with the other", PORT);
  report("close by number of the other", syscall(SYS_close, copy));
  say_port("after both", PORT);
  // Its number is used again before anybody asks for the port.
  fd = udp_socket(PORT);
  file = fdopen(fd, "r+");
  MUST(fclose(file) == 0);
  const int other = fresh();
  report("the same number", other - fd);
  const struct sockaddr_in address = loopback(PORT);
  MUST(connect(other, (const struct sockaddr*)&address, sizeof address) == 0);
  report("send", send(other, "datagram", 8, 0));
  report("next send", send(other, "datagram", 8, 0));
  report("close", close(other));
  for (int i = 0; i < 300; ++i) {
    fd = udp_socket(PORT);
    file = fdopen(fd, "r+");
    MUST(file != NULL && fclose(file) == 0);
  }
  say_port("at the end", PORT);
}

static void* close_often(void* argument) {
  const int number = *(const int*)argument;
  long refused = 0;
  for (int i = 0; i < 400; ++i) {
    const int fd = fresh();
    if (bind_loopback(fd, PORT + 10 + number) != 0) ++refused;
    const int copy = i % 3 == 0 ? dup(fd) : -1;
    MUST(close(fd) == 0);
    if (copy >= 0) MUST(close(copy) == 0);
  }
  return (void*)refused;
}

static pthread_barrier_t both;

static void* close_at_once(void* argument) {
  for (int i = 0; i < 500; ++i) {
    pthread_barrier_wait(&both);
    MUST(close(((const int*)argument)[i % 2]) == 0);
    pthread_barrier_wait(&both);
  }
  return NULL;
}

static void threads(void) {
  enum { COUNT = 8 };
  pthread_t all[COUNT];
  int numbers[COUNT];
  long refused = 0;
  for (int i = 0; i < COUNT; ++i) {
    numbers[i] = i;
    MUST(pthread_create(&all[i], NULL, close_often, &numbers[i]) == 0);
  }
  for (int i = 0; i < COUNT; ++i) {
    void* of_one = NULL;
    pthread_join(all[i], &of_one);
    refused += (long)of_one;
  }
  say("%ld times a port was not free", refused);
  // Two fds of one socket, each closed by its own thread.
  int fds[2][2];
  refused = 0;
  MUST(pthread_barrier_init(&both, NULL, 3) == 0);
  for (int i = 0; i < 2; ++i) MUST(pthread_create(&all[i], NULL, close_at_once, fds[i]) == 0);
  for (int i = 0; i < 500; ++i) {
    const int fd = fresh();
    if (bind_loopback(fd, PORT) != 0) ++refused;
    fds[0][i % 2] = fd;
    fds[1][i % 2] = dup(fd);
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&both);
  }
  for (int i = 0; i < 2; ++i) pthread_join(all[i], NULL);
  say("%ld times a port of two threads was not free", refused);
}

static volatile sig_atomic_t by_handler;

static void rebind_in_handler(int signal) {
  (void)signal;
  const int before = errno;
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind_loopback(fd, PORT + 1) != 0) _exit(3);
  close(fd);
  ++by_handler;
  errno = before;
}

static void interrupted(void) {
  const struct itimerval often = {{0, 300}, {0, 300}};
  const struct itimerval never = {{0, 0}, {0, 0}};
  const struct sigaction action = {.sa_handler = rebind_in_handler, .sa_flags = SA_RESTART};
  MUST(sigaction(SIGALRM, &action, NULL) == 0);
  MUST(setitimer(ITIMER_REAL, &often, NULL) == 0);
  int refused = 0;
  for (int i = 0; by_handler < 500 || i < 500; ++i) {
    const int fd = fresh();
    if (bind_loopback(fd, PORT) != 0) ++refused;
    MUST(close(fd) == 0);
  }
  MUST(setitimer(ITIMER_REAL, &never, NULL) == 0);
  say("%d times its port was not free", refused);
}

// While checkpoints are made.
static void restless(void) {
  struct pollfd input = {0, POLLIN, 0};
  int refused = 0;
  udp_socket(PORT + 2);
  say("begins");
  // A checkpoint's signal may interrupt it (docs/signals.md).
  while (poll(&input, 1, 0) <= 0) {
    const int one = fresh();
    const int other = fresh();
    if (bind_loopback(one, PORT) != 0) ++refused;
    if (bind_loopback(other, PORT + 1) != 0) ++refused;
    MUST(close_range((unsigned)one, (unsigned)other, 0) == 0);
    const int last = fresh();
    if (bind_loopback(last, PORT) != 0) ++refused;
    MUST(close(last) == 0);
  }
  say("%d times its port was not free", refused);
}

// One that was bound before a checkpoint, and is closed after it.
static void checkpointed(void) {
  const int fd = udp_socket(PORT);
  const int other = udp_socket(PORT + 1);
  const int third = udp_socket(PORT + 2);
  FILE* const file = fdopen(third, "r");
  await_test();
  say_queued(fd);
  say_three("while they are bound");
  report("close", close(fd));
  report("dup2 over the other", dup2(0, other) - other);
  report("fclose", fclose(file));
  say_three("after");
  bind_three(40);
  report("close_range", close_range(40, 42, 0));
  say_three("at the end");
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(void);
  } ways[] = {{"rebind", rebind},
              {"connected", connected},
              {"copies", copies},
              {"ranges", ranges},
              {"polled", polled},
              {"peers", peers},
              {"group", group},
              {"unseen", unseen},
              {"threads", threads},
              {"restless", restless},
              {"checkpointed", checkpointed},
              {"interrupted", interrupted}};
  MUST(argc == 2);
  for (size_t i = 0; i < sizeof ways / sizeof *ways; ++i) {
    if (strcmp(argv[1], ways[i].name) != 0) continue;
    ways[i].run();
    say("end");
    return 0;
  }
  return 2;
}
