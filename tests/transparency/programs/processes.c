// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: processes WAY
//
// The process that serves comes about in one of many ways; which one is up to
// WAY.  The parent waits for it, so that the test has one process to end.
#include "transparency.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int fd = -1;

__attribute__((noreturn)) static void live(void) {
  say("F_GETFD of the socket: %d", fcntl(fd, F_GETFD));
  say("next fd: %d", dup(0));
  _exit(serve(fd));
}

static int start(void* nothing) {
  (void)nothing;
  live();
}

static int only_close(void* nothing) {
  (void)nothing;
  // What its parent has is not touched by that.
  close(fd);
  dup2(0, fd + 1);
  _exit(dup(fd) + 10);
}

static int await_child(pid_t child) {
  int status = 0;
  MUST(child > 0);
  while (waitpid(child, &status, __WALL) < 0) MUST(errno == EINTR);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static volatile int thread_ran;

static int raw_thread(void* nothing) {
  (void)nothing;
  // No thread of the C library: raw system calls alone.
  thread_ran = (int)syscall(SYS_dup3, fd, 50, 0);
  syscall(SYS_exit, 0);
  return 0;
}

int main(int argc, char** argv) {
  static _Alignas(16) char stack[65536];
  MUST(argc >= 2);
  const char* const way = argv[1];
  if (argc > 2) {
    // After an exec.
    fd = atoi(argv[2]);
    if (strcmp(way, "reexec") == 0) {
      say("it is still open: %d", fcntl(fd, F_GETFD) == 0);
      _exit(serve(fd));
    }
    if (strcmp(way, "cloexec") == 0) say("the old one is closed: %d", fcntl(fd, F_GETFD) < 0);
    fd = udp_socket(5300);
    live();
  }
  if (strcmp(way, "unbound") != 0) fd = udp_socket(5300);
  pid_t child = -1;
  if (strcmp(way, "fork") == 0) {
    if ((child = fork()) == 0) live();
  } else if (strcmp(way, "_Fork") == 0) {
    if ((child = _Fork()) == 0) live();
  } else if (strcmp(way, "clone") == 0) {
    child = clone(start, stack + sizeof stack, SIGCHLD, NULL);
  } else if (strcmp(way, "raw_clone") == 0) {
    if ((child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) == 0) live();
  } else if (strcmp(way, "clone3") == 0) {
    struct clone_args how = {.exit_signal = SIGCHLD};
    if ((child = (pid_t)syscall(SYS_clone3, &how, sizeof how)) == 0) live();
  } else if (strcmp(way, "double_fork") == 0) {
    if ((child = fork()) == 0) {
      if ((child = fork()) == 0) live();
      _exit(await_child(child));
    }
  } else if (strcmp(way, "unbound") == 0) {
    // Before there is a keeper.
    if ((child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) == 0) {
      fd = udp_socket(5300);
      live();
    }
  } else if (strcmp(way, "daemon") == 0) {
    // Its parent, the first of all, waits where it is not killed with it.
    if ((child = fork()) == 0) {
      int out = dup(1);
      int in = dup(0);
      prctl(PR_SET_CHILD_SUBREAPER, 1);
      if (fork() == 0) {
        MUST(daemon(1, 0) == 0);
        dup2(out, 1);
        dup2(in, 0);
        close(out);
        close(in);
        live();
      }
      int status = 0;
      int last = 0;
      while (wait(&status) > 0) last = WEXITSTATUS(status);
      _exit(last);
    }
  } else if (strcmp(way, "vfork") == 0) {
    if ((child = vfork()) == 0) {
      close(fd);
      dup2(0, fd + 1);
      _exit(dup(fd) + 10);
    }
    say("the child of vfork ended with %d", await_child(child));
    child = clone(only_close, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    say("the child of clone ended with %d", await_child(child));
    return serve(fd);
  } else if (strcmp(way, "shared_files") == 0) {
    // It has no memory of ours to itself, but the fds: its dup is ours.
    child = clone(raw_thread, stack + sizeof stack, CLONE_VM | CLONE_FILES | CLONE_VFORK | SIGCHLD,
                  NULL);
    await_child(child);
    say("the child has made fd %d, which is there: %d", thread_ran, fcntl(50, F_GETFD));
    close(fd);
    return serve(50);
  } else if (strcmp(way, "raw_thread") == 0) {
    const int flags =
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    MUST(clone(raw_thread, stack + sizeof stack, flags, NULL) > 0);
    while (thread_ran == 0) usleep(1000);
    say("the thread has made fd %d", thread_ran);
    close(fd);
    return serve(50);
  } else if (strcmp(way, "cloexec") == 0 || strcmp(way, "reexec") == 0) {
    char number[12];
    snprintf(number, sizeof number, "%d", fd);
    char* words[] = {argv[0], argv[1], number, NULL};
    if (strcmp(way, "cloexec") == 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
    MUST(execv("/proc/self/exe", words) == 0);
  }
  return await_child(child);
}
