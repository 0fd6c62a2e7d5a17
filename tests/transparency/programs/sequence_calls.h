// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The calls of a random sequence that concern one process: fds, sockets,
// signals, limits.
#pragma once
#include "transparency.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifdef __SANITIZE_THREAD__
#define UNTOLD 0x04000000U  // SA_RESTORER, which it does not read back as libc does
#else
#define UNTOLD 0U
#endif

static uint64_t state;
static const char* address;
static char name[128];  // which process of the sequence it is
static int calls;       // still to be made
static int children;    // made so far
static pid_t staying[8];
static int stays_count;
static volatile sig_atomic_t caught;

static unsigned draw(unsigned below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)(state >> 33) % below;
}

static void said(const char* what, long result) {
  if (result < 0) {
    say("%s %s: %ld %s", name, what, result, strerrorname_np(errno));
  } else {
    say("%s %s: %ld", name, what, result);
  }
}

static int low_fd(void) { return 3 + (int)draw(draw(2) == 0 ? 8 : 24); }

// Sometimes one that may be udpcr's own, for the calls that udpcr stands in the
// way of.
static int any_fd(void) {
  static const int odd[] = {-1,   63,   64,   65,   200,  255,  256,
                            1008, 1009, 1022, 1023, 1024, 1025, 5000};
  if (draw(12) == 0) return odd[draw(sizeof odd / sizeof *odd)];
  return low_fd();
}

static int any_signal(void) {
  static const int signals[] = {SIGUSR2, SIGUSR2, SIGUSR1, SIGHUP, SIGWINCH};
  return signals[draw(5)];
}

static void count_caught(int number) {
  (void)number;
  ++caught;
}

static void make_socket(void) {
  static const int types[] = {SOCK_DGRAM, SOCK_DGRAM | SOCK_CLOEXEC, SOCK_DGRAM | SOCK_NONBLOCK};
  const int type = types[draw(3)];
  switch (draw(8)) {
    case 0:
      return said("socket tcp", socket(AF_INET, SOCK_STREAM, 0));
    case 1:
      return said("socket unix", socket(AF_UNIX, type, 0));
    case 2:
      return said("socket lite", socket(AF_INET, type, IPPROTO_UDPLITE));
    case 3:
      return said("socket 6", socket(AF_INET6, type, 0));
    case 4:
      return said("raw socket", syscall(SYS_socket, AF_INET, type, 0));
    default:
      said("socket", socket(AF_INET, type, 0));
  }
}

static void use_socket(void) {
  struct sockaddr_in place = {.sin_family = AF_INET};
  socklen_t size = sizeof place;
  int value = (int)draw(2);
  const unsigned how = draw(8);
  const int fd = how == 2 || how == 3 || how > 5 ? low_fd() : any_fd();
  inet_pton(AF_INET, address, &place.sin_addr);
  switch (how) {
    case 0:
    case 1:
      place.sin_port = htons((unsigned short)(draw(2) == 0 ? 0 : 7000 + draw(20)));
      return said("bind", bind(fd, (const struct sockaddr*)&place, sizeof place));
    case 2:
      place.sin_port = htons(7100);
      // Others than UDP would talk.
      if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) != 0 || value != SOCK_DGRAM) return;
      return said("connect", connect(fd, (const struct sockaddr*)&place, sizeof place));
    case 3:
      place.sin_family = AF_UNSPEC;
      if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) != 0 || value != SOCK_DGRAM) return;
      return said("disconnect", connect(fd, (const struct sockaddr*)&place, sizeof place));
    case 4:
      return said("reuse", setsockopt(fd, SOL_SOCKET, draw(2) == 0 ? SO_REUSEADDR : SO_REUSEPORT,
                                      &value, sizeof value));
    case 5:
      return said("ttl", setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){9}, sizeof(int)));
    case 6:
      size = sizeof value;
      said("type", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size));
      return say("%s type is %d", name, value);
    default:
      said("name", getsockname(fd, (struct sockaddr*)&place, &size));
      said("read", recv(fd, &value, sizeof value, MSG_DONTWAIT) >= 0 ? 0 : -1);
  }
}

static void copy_fd(void) {
  static const int flags[] = {0, O_CLOEXEC, O_NONBLOCK};
  const int from = any_fd();
  const int to = any_fd();
  switch (draw(7)) {
    case 0:
      return said("dup", dup(from));
    case 1:
      return said("dup2", dup2(from, to));
    case 2:
      return said("dup3", dup3(from, draw(5) == 0 ? from : to, flags[draw(3)]));
    case 3:
      return said("F_DUPFD", fcntl(from, F_DUPFD, to));
    case 4:
      return said("F_DUPFD_CLOEXEC", fcntl(from, F_DUPFD_CLOEXEC, to));
    case 5:
      return said("raw dup", syscall(SYS_dup, low_fd()));
    default:
      said("query", fcntl(from, 1027 /* F_DUPFD_QUERY */, to));
  }
}

static void mark_fd(void) {
  const int fd = any_fd();
  switch (draw(4)) {
    case 0:
      return said("F_GETFD", fcntl(fd, F_GETFD));
    case 1:
      return said("F_SETFD", fcntl(fd, F_SETFD, draw(2) == 0 ? FD_CLOEXEC : 0));
    case 2:
      return said("F_GETFL", fcntl(fd, F_GETFL));
    default:
      said("F_SETFL", fcntl(fd, F_SETFL, draw(2) == 0 ? O_NONBLOCK : 0));
  }
}

// Of one that is not open it does not say the result: closing udpcr's own
// succeeds (docs/fds.md).
static void close_one(int fd) {
  if (fcntl(fd, F_GETFD) >= 0) return said("close", close(fd));
  close(fd);
  say("%s close: not open", name);
}

static void close_some(void) {
  static const unsigned flags[] = {
      0, 0, 0, CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE,
      64};
  const int fd = any_fd();
  const unsigned first = 8 + draw(24);
  switch (draw(12)) {
    case 0:
      return said("raw close", syscall(SYS_close, 3 + (int)draw(20)));
    case 1:
      return said("range", close_range(first, first + draw(8) - 1, (int)flags[draw(7)]));
    case 2:
      return said("range to the end",
                  close_range(draw(3) == 0 ? 1023 : first, ~0U, (int)flags[draw(7)]));
    case 3:
      closefrom((int)first);
      return said("closefrom", 0);
    case 4:
    case 5: {
      FILE* const file = fdopen(low_fd(), "r+");
      if (file == NULL) return said("fdopen", -1);
      return said("fclose", fclose(file));
    }
    default:
      close_one(fd);
  }
}

static void other_fd(void) {
  int two[2] = {-1, -1};
  int fd = -1;
  switch (draw(7)) {
    case 0:
      said("pipe", pipe2(two, draw(2) == 0 ? O_CLOEXEC : 0));
      return say("%s pipe is %d %d", name, two[0], two[1]);
    case 1:
      said("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, two));
      return say("%s pair is %d %d", name, two[0], two[1]);
    case 2:
      return said("open", open("/dev/null", O_RDWR | (draw(2) == 0 ? O_CLOEXEC : 0)));
    case 3:
      return said("eventfd", eventfd(0, EFD_NONBLOCK));
    case 4:
      return said("epoll", epoll_create1(0));
    case 5: {
      struct epoll_event event = {.events = EPOLLIN};
      const int epoll = any_fd();
      fd = any_fd();
      return said("epoll_ctl", epoll_ctl(epoll, (int)draw(3) + 1, fd, &event));
    }
    default:
      fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
      said("pidfd", fd);
      said("pidfd_getfd", syscall(SYS_pidfd_getfd, fd, low_fd(), 0));
      said("close", close(fd));
  }
}

static void send_to_itself(void) {
  int pair[2];
  struct fd_message message;
  hold_fd(&message, low_fd());
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0) return said("pair", -1);
  const long sent = sendmsg(pair[0], &message.header, 0);
  said("send fd", sent);
  if (sent == 1) {
    said("receive fd", recvmsg(pair[1], &message.header, draw(2) == 0 ? MSG_CMSG_CLOEXEC : 0));
    say("%s received fd is %d, flags %x", name, held_fd(&message),
        (unsigned)message.header.msg_flags & MSG_CTRUNC);
  }
  close(pair[0]);
  close(pair[1]);
}

static void use_signal(void) {
  struct sigaction action = {.sa_handler = count_caught};
  struct sigaction old;
  sigset_t set;
  sigset_t before;
  const int number = any_signal();
  sigemptyset(&set);
  sigaddset(&set, number);
  switch (draw(6)) {
    case 0:
      if (draw(3) == 0) action.sa_handler = SIG_IGN;
      action.sa_flags = draw(2) == 0 ? SA_RESTART : SA_NODEFER;
      said("sigaction", sigaction(number, &action, &old));
      return say("%s before it was %s, flags %x", name,
                 old.sa_handler == SIG_DFL   ? "default"
                 : old.sa_handler == SIG_IGN ? "ignored"
                                             : "caught",
                 (unsigned)old.sa_flags & ~UNTOLD);
    case 1:
      said("block", sigprocmask(SIG_BLOCK, &set, &before));
      return say("%s it was blocked: %d", name, sigismember(&before, number));
    case 2:
      said("unblock", pthread_sigmask(SIG_UNBLOCK, &set, &before));
      return say("%s it was blocked: %d, caught %d", name, sigismember(&before, number),
                 (int)caught);
    case 3:
      sigpending(&set);
      return say("%s pending: %d", name, number == SIGUSR2 ? 0 : sigismember(&set, number));
    default:
      sigaction(number, NULL, &old);
#ifdef __SANITIZE_THREAD__
      return;  // it calls handlers when it is convenient to it
#endif
      if (old.sa_handler == SIG_DFL) return say("%s is not raised", name);
      said("raise", raise(number));
      say("%s caught %d", name, (int)caught);
  }
}

static void limit_fds(void) {
  static const rlim_t limits[] = {64, 64, 128, 256, 1024, 4096};
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  if (draw(2) == 0 || limit.rlim_cur > 128) {
    limit.rlim_cur = limits[draw(6)];
    said("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
    getrlimit(RLIMIT_NOFILE, &limit);
    return say("%s limit is %lu", name, (unsigned long)limit.rlim_cur);
  }
  int count = 0;
  int last = -1;
  int fds[128];
  for (int fd; count < 128 && (fd = dup(0)) >= 0; last = fd) fds[count++] = fd;
  said("dup of the last", -1);
  say("%s %d could be had, the last was %d", name, count, last);
  // As long as there is no room udpcr has to do without as well.
  if (draw(2) == 0) make_socket();
  while (count > 0) close(fds[--count]);
}
