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
#include "sequence_calls.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1  // their run time does not live through these
#else
#define SANITIZED 0
#endif

#define DONE (SIGRTMIN + 5)  // a child that stays has made its calls

extern char** environ;

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
