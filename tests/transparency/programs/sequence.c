// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: sequence SEED ADDRESS [CALLS NAME [stay]]
//
// A random sequence of calls on fds, processes and signals.  It says each
// result and errno, at last every fd that is open, and waits.  The same seed
// makes the same calls: they depend on nothing else than numbers drawn, and
// on results that they have said.  ADDRESS is in 127/8, this run's own, so that runs
// do not share ports.  With CALLS it is the rest of a sequence after exec, or
// a child's.
#include "transparency.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1  // their run time does not live through these
#else
#define SANITIZED 0
#endif

#ifdef __SANITIZE_THREAD__
#define UNTOLD 0x04000000U  // SA_RESTORER, which it does not read back as libc does
#else
#define UNTOLD 0U
#endif

#define DONE (SIGRTMIN + 5)  // a child that stays has made its calls

extern char** environ;

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
      said("close", close(fd));
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
  int fd = low_fd();
  char letter = 'x';
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof fd)];
  } control = {0};
  struct iovec piece = {&letter, 1};
  struct msghdr message = {.msg_iov = &piece,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0) return said("pair", -1);
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  const long sent = sendmsg(pair[0], &message, 0);
  said("send fd", sent);
  if (sent == 1) {
    said("receive fd", recvmsg(pair[1], &message, draw(2) == 0 ? MSG_CMSG_CLOEXEC : 0));
    const struct cmsghdr* const header = CMSG_FIRSTHDR(&message);
    fd = -1;
    if (header != NULL) memcpy(&fd, CMSG_DATA(header), sizeof fd);
    say("%s received fd is %d, flags %x", name, fd, (unsigned)message.msg_flags & MSG_CTRUNC);
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

static void begin(uint64_t seed, int number) {
  state = (seed + 1) * 0x9e3779b97f4a7c15U;
  calls = number;
  for (int i = 0; i < 5; ++i) draw(2);
}

static void make_calls(void);

static void say_fds(void) {
  for (int fd = 3; fd < 6000; ++fd) {
    struct stat status;
    const int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fstat(fd, &status) != 0) continue;
    say("%s fd %d: type %o, flags %d", name, fd, status.st_mode & S_IFMT, flags);
  }
}

__attribute__((noreturn)) static void stay(void) {
  say_fds();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  kill(getppid(), DONE);
  for (;;) pause();
}

// Nobody is left to hold an fd of this process when it ends.
__attribute__((noreturn)) static void end_as_child(int status) {
  while (stays_count > 0) {
    const pid_t child = staying[--stays_count];
    kill(child, SIGKILL);
    waitpid(child, NULL, __WALL);
  }
  _exit(status);
}

// What is drawn before the child is there decides what it does.
__attribute__((noreturn)) static void live_as_child(uint64_t seed, int stays) {
  char parent[sizeof name];
  memcpy(parent, name, sizeof parent);
  snprintf(name, sizeof name, "%.100s.%d", parent, children);
  begin(seed, 4 + (int)(seed % 8));
  stays_count = 0;
  fcntl(0, F_GETFD);  // whatever made it, udpcr knows it from here on
  make_calls();
  if (stays) stay();
  end_as_child((int)(seed % 7));
}

static void await_child(pid_t child, int stays) {
  sigset_t done;
  int status = 0;
  sigemptyset(&done);
  sigaddset(&done, DONE);
  // One that cannot even begin ends.
  while (stays) {
    const struct timespec patience = {0, 20000000};
    if (sigtimedwait(&done, NULL, &patience) == DONE) {
      staying[stays_count++] = child;
      return;
    }
    if (waitpid(child, &status, WNOHANG) == child)
      return say("%s child ended with %x", name, (unsigned)status);
  }
  while (waitpid(child, &status, __WALL) < 0) MUST(errno == EINTR);
  say("%s child ended with %x", name, (unsigned)status);
}

struct birth {
  uint64_t seed;
  int stays;
};

static int cloned(void* argument) {
  const struct birth birth = *(struct birth*)argument;
  live_as_child(birth.seed, birth.stays);
}

static int cloned_vfork(void* argument) {
  const int fd = *(int*)argument;
  // Not what the parent has.
  close(fd);
  dup2(0, fd + 1);
  _exit(0);
}

static char* arguments_for(char* (*words)[8], uint64_t seed, int number, const char* child,
                           int stays) {
  static char text[4][192];
  snprintf(text[0], sizeof text[0], "%llu", (unsigned long long)seed);
  snprintf(text[1], sizeof text[1], "%d", number);
  snprintf(text[2], sizeof text[2], "%s", child);
  snprintf(text[3], sizeof text[3], "%s.udpcr", child);
  char* const all[8] = {
      "sequence", text[0], (char*)address, text[1], text[2], stays ? "stay" : NULL, NULL, NULL};
  memcpy(*words, all, sizeof all);
  setenv("UDPCR_IMAGE", text[3], 1);
  return "/proc/self/exe";
}

static void make_child(void) {
  _Alignas(16) char stack[65536];  // not static: a child may be running on it
  struct birth birth = {draw(1000000) + 1, (int)draw(3) == 0};
  char* words[8];
  char child_name[sizeof name + 16];
  pid_t child = -1;
  int fd = 3 + (int)draw(12);
  const unsigned how = draw(SANITIZED ? 3 : 9);
  if (++children > 4 || strlen(name) > 12) return;
  fflush(NULL);
  switch (how) {
    case 0:
    case 1:
      child = fork();
      if (child == 0) live_as_child(birth.seed, birth.stays);
      break;
    case 2: {
      snprintf(child_name, sizeof child_name, "%s.%d", name, children);
      const char* const image = getenv("UDPCR_IMAGE");
      char* const before = image == NULL ? NULL : strdup(image);
      char* const path = arguments_for(&words, birth.seed, 5, child_name, birth.stays);
      const int error = posix_spawn(&child, path, NULL, NULL, words, environ);
      if (before != NULL) setenv("UDPCR_IMAGE", before, 1);
      free(before);
      if (error != 0) return say("%s spawn: %d", name, error);
      break;
    }
    case 3:
      child = _Fork();
      if (child == 0) live_as_child(birth.seed, birth.stays);
      break;
    case 4:
      child = clone(cloned, stack + sizeof stack, SIGCHLD, &birth);
      break;
    case 5:
      child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
      if (child == 0) live_as_child(birth.seed, birth.stays);
      break;
    case 6: {
      struct clone_args how_made = {.exit_signal = SIGCHLD};
      child = (pid_t)syscall(SYS_clone3, &how_made, sizeof how_made);
      if (child == 0) live_as_child(birth.seed, birth.stays);
      break;
    }
    case 7:
      birth.stays = 0;
      child = vfork();
      if (child == 0) {
        close(fd);
        dup2(0, fd + 1);
        _exit(fcntl(fd + 1, F_GETFD) + 3);
      }
      break;
    default:
      birth.stays = 0;
      child = clone(cloned_vfork, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &fd);
  }
  if (child < 0) return said("child", -1);
  await_child(child, birth.stays);
}

static void ask_for_children(void) {
  int status = 0;
  const pid_t child = waitpid(-1, &status, WNOHANG | (draw(2) == 0 ? __WALL : 0));
  said("waitpid", child > 0 ? 1 : child);
}

static void become_itself(void) {
  char* words[8];
  char next[sizeof name + 16];
  if (strlen(name) > 10) return;
  snprintf(next, sizeof next, "%sx", name);
  const int is_child = strchr(name, '.') != NULL;
  if (is_child) return;  // its parent waits for the number that it was told
  char* const path = arguments_for(&words, state, calls, next, 0);
  execv(path, words);
  said("exec", -1);
}

static void make_calls(void) {
  while (calls-- > 0) {
    const unsigned kind = draw(100);
    if (kind < 16) {
      make_socket();
    } else if (kind < 30) {
      use_socket();
    } else if (kind < 46) {
      copy_fd();
    } else if (kind < 54) {
      mark_fd();
    } else if (kind < 68) {
      close_some();
    } else if (kind < 78) {
      other_fd();
    } else if (kind < 82) {
      send_to_itself();
    } else if (kind < 90) {
      use_signal();
    } else if (kind < 92) {
      limit_fds();
    } else if (kind < 97) {
      make_child();
    } else if (kind < 99) {
      ask_for_children();
    } else {
      become_itself();
    }
  }
}

int main(int argc, char** argv) {
  sigset_t done;
  MUST(argc >= 3);
  address = argv[2];
  strcpy(name, "0");
  begin(strtoull(argv[1], NULL, 10), argc > 3 ? atoi(argv[3]) : 40);
  if (argc > 4) strcpy(name, argv[4]);
  sigemptyset(&done);
  sigaddset(&done, DONE);
  sigprocmask(SIG_BLOCK, &done, NULL);
  // So that there is a keeper, one for all that are forked from here on.
  said("first socket", socket(AF_INET, SOCK_DGRAM, 0));
  make_calls();
  if (strchr(name, '.') != NULL) {
    if (argc > 5) stay();
    end_as_child(0);
  }
  say_fds();
  await_test();
  return 0;
}
