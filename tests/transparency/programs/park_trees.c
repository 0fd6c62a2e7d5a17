// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: park_trees WAY
//
// Bound sockets that several processes have, or a program that is executed: the
// port is taken as long as one of them has it open, and no longer.
#include "transparency.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PORT 5300

extern char** environ;

static void say_port(const char* when, int port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  MUST(fd >= 0);
  say("port %d %s: %s", port, when, bind_loopback(fd, port) == 0 ? "free" : strerrorname_np(errno));
  MUST(close(fd) == 0);
}

static void await_child(pid_t child) {
  int status = 0;
  MUST(child > 0);
  while (waitpid(child, &status, __WALL) < 0) MUST(errno == EINTR);
  say("child ended with %x", (unsigned)status);
}

// Parent and child take turns.
static int pair[2];

static void give_turn(int own) { MUST(write(pair[own], "x", 1) == 1); }
static void await_turn(int own) { MUST(read(pair[own], &(char){0}, 1) == 1); }

static void closed_in_order(int parent_first) {
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  const int fd = udp_socket(PORT);
  const pid_t child = fork();
  if (child == 0) {
    await_turn(1);
    report("close in the child", close(fd));
    say_port(parent_first ? "after both" : "with the parent", PORT);
    give_turn(1);
    await_turn(1);
    say_port("at the child's end", PORT);
    _exit(0);
  }
  if (parent_first) {
    // The child is there before it is known to anyone but us.
    report("close in the parent", close(fd));
    say_port("with the child", PORT);
  }
  give_turn(0);
  await_turn(0);
  if (!parent_first) {
    report("close in the parent", close(fd));
    say_port("after both", PORT);
  }
  give_turn(0);
  await_child(child);
  say_port("at the end", PORT);
}

static void fork_parent_first(void) { closed_in_order(1); }
static void fork_child_first(void) { closed_in_order(0); }

// One that ends without a close has closed, when others of its program had it.
static void fork_ends(void) {
  int fd = udp_socket(PORT);
  pid_t child = fork();
  if (child == 0) _exit(0);
  await_child(child);
  say_port("after the child's end", PORT);
  report("close", close(fd));
  say_port("after the close", PORT);
  fd = udp_socket(PORT);
  child = fork();
  if (child == 0) {
    closefrom(3);
    say_port("in a child that has closed it", PORT);
    const int own = udp_socket(PORT + 1);
    report("close of its own", close(own));
    say_port("of its own", PORT + 1);
    _exit(0);
  }
  await_child(child);
  say_port("with the parent", PORT);
  report("close", close(fd));
  say_port("at the end", PORT);
}

static void many_forks(void) {
  const int fd = udp_socket(PORT);
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      close(fd);
      _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) MUST(errno == EINTR);
    MUST(status == 0);
  }
  say_port("after 100 children", PORT);
  report("close", close(fd));
  int refused = 0;
  for (int i = 0; i < 50; ++i) {
    const int one = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind_loopback(one, PORT) != 0) ++refused;
    const pid_t child = fork();
    if (child == 0) {
      close(one);
      _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) MUST(errno == EINTR);
    MUST(close(one) == 0);
  }
  say("%d of 50 times its port was not free", refused);
}

static int only_close(void* fd) {
  close(*(int*)fd);
  dup2(0, *(int*)fd);
  _exit(0);
}

static void vfork_children(void) {
  static _Alignas(16) char stack[65536];
  char* words[] = {"true", NULL};
  int fd = udp_socket(PORT);
  MUST(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
  pid_t child = vfork();
  if (child == 0) {
    close(fd);
    _exit(0);
  }
  await_child(child);
  say_port("after a vfork and a close", PORT);
  child = vfork();
  if (child == 0) {
    const int other = socket(AF_INET, SOCK_DGRAM, 0);
    bind_loopback(other, PORT);
    close(other);
    execv("/bin/true", words);
    _exit(1);
  }
  await_child(child);
  say_port("after a vfork and an exec", PORT);
  child = vfork();
  if (child == 0) {
    execv("/nonexistent", words);
    _exit(1);
  }
  await_child(child);
  say_port("after an exec that failed", PORT);
  child = clone(only_close, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &fd);
  await_child(child);
  say_port("after a clone", PORT);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addclose(&actions, fd);
  MUST(posix_spawn(&child, "/bin/true", &actions, NULL, words, environ) == 0);
  await_child(child);
  report("system", system("true"));
  report("pclose", pclose(popen("true", "r")));
  say_port("after a spawn", PORT);
  report("close", close(fd));
  say_port("at the end", PORT);
}

static void fork_and_exec(void) {
  char* words[] = {"true", NULL};
  for (int cloexec = 0; cloexec < 2; ++cloexec) {
    const int fd = udp_socket(PORT);
    MUST(fcntl(fd, F_SETFD, cloexec ? FD_CLOEXEC : 0) == 0);
    const pid_t child = fork();
    if (child == 0) {
      execv("/bin/true", words);
      _exit(1);
    }
    await_child(child);
    say_port("after a fork and an exec", PORT);
    report("close", close(fd));
    say_port("after the close", PORT);
  }
}

// A program that is no part of ours has it.
static void left_to_another(void) {
  char* words[] = {"cat", NULL};
  int fds[2];
  MUST(pipe2(fds, O_CLOEXEC) == 0);
  const int fd = udp_socket(PORT);
  const pid_t child = fork();
  if (child == 0) {
    unsetenv("LD_PRELOAD");
    dup2(fds[0], 0);
    execv("/bin/cat", words);
    _exit(1);
  }
  close(fds[0]);
  report("close", close(fd));
  say_port("with another program", PORT);
  close(fds[1]);
  await_child(child);
  say_port("after its end", PORT);
}

static void passed_on(void) {
  int sockets[2];
  struct fd_message message;
  MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(sockets[0]);
    hold_fd(&message, -1);
    MUST(recvmsg(sockets[1], &message.header, 0) == 1);
    const int fd = held_fd(&message);
    MUST(write(sockets[1], "x", 1) == 1);
    MUST(read(sockets[1], &message.letter, 1) == 1);
    report("close in the child", close(fd));
    _exit(0);
  }
  close(sockets[1]);
  const int fd = udp_socket(PORT);
  hold_fd(&message, fd);
  MUST(sendmsg(sockets[0], &message.header, 0) == 1);
  MUST(read(sockets[0], &message.letter, 1) == 1);
  report("close in the parent", close(fd));
  say_port("with the child", PORT);
  MUST(write(sockets[0], "x", 1) == 1);
  await_child(child);
  say_port("at the end", PORT);
}

static const char* self;

__attribute__((noreturn)) static void execute(const char* next, int fd, int with_us) {
  char number[12];
  char* words[] = {(char*)self, (char*)next, number, NULL};
  snprintf(number, sizeof number, "%d", fd);
  if (!with_us) unsetenv("LD_PRELOAD");
  execv(self, words);
  _exit(9);
}

static int to_be_kept(void) {
  const int lost = udp_socket(PORT + 1);
  MUST(fcntl(lost, F_SETFD, FD_CLOEXEC) == 0);
  return udp_socket(PORT);
}

static void exec_with_us(void) { execute("after_exec", to_be_kept(), 1); }
static void exec_without(void) { execute("after_exec", to_be_kept(), 0); }

static void exec_in_child(void) {
  const int fd = to_be_kept();
  const pid_t child = fork();
  if (child == 0) execute("after_exec_in_child", fd, 1);
  await_child(child);
  say_port("with the parent", PORT);
  say_port("with the parent, close-on-exec", PORT + 1);
  report("close", close(fd) + close(fd - 1));
  say_port("at the end", PORT);
  say_port("at the end", PORT + 1);
}

static void exec_fails(void) {
  char* words[] = {"none", NULL};
  const int fd = to_be_kept();
  report("execv", execv("/nonexistent", words));
  report("execvp", execvp("udpcr-no-such-program", words));
  report("execl", execl("/dev/null", "null", NULL));
  say_port("after that", PORT);
  say_port("after that, close-on-exec", PORT + 1);
  report("close", close(fd) + close(fd - 1));
  say_port("at the end", PORT);
  say_port("at the end", PORT + 1);
}

static void after_exec(int fd) {
  say("it is open: %d", fcntl(fd, F_GETFD) == 0);
  say_port("which it was bound to", PORT);
  say_port("of a socket that was close-on-exec", PORT + 1);
  report("close", close(fd));
  say_port("after its close", PORT);
}

static void after_exec_in_child(int fd) {
  say_port("which it was bound to", PORT);
  say_port("of a socket that was close-on-exec", PORT + 1);
  report("close", close(fd));
  say_port("with the parent", PORT);
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(void);
  } ways[] = {{"fork_parent_first", fork_parent_first},
              {"fork_child_first", fork_child_first},
              {"fork_ends", fork_ends},
              {"many_forks", many_forks},
              {"vfork_children", vfork_children},
              {"fork_and_exec", fork_and_exec},
              {"left_to_another", left_to_another},
              {"passed_on", passed_on},
              {"exec_with_us", exec_with_us},
              {"exec_without", exec_without},
              {"exec_in_child", exec_in_child},
              {"exec_fails", exec_fails}};
  MUST(argc >= 2);
  self = argv[0];
  if (strcmp(argv[1], "after_exec") == 0) {
    after_exec(atoi(argv[2]));
    say("end");
    return 0;
  }
  if (strcmp(argv[1], "after_exec_in_child") == 0) {
    after_exec_in_child(atoi(argv[2]));
    return 0;
  }
  for (size_t i = 0; i < sizeof ways / sizeof *ways; ++i) {
    if (strcmp(argv[1], ways[i].name) != 0) continue;
    ways[i].run();
    say("end");
    return 0;
  }
  return 2;
}
