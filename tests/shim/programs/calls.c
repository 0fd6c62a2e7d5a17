// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Uses the interposed calls as odd programs do, and judges what it sees.  Each
// check that fails is a line on stdout; the last line is "done".  With the
// argument "stay" it then lives on, with two sockets open.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define CHECK(holds) \
  ((holds) ? (void)0 : (void)printf("failed line %d: %s (errno %d)\n", __LINE__, #holds, errno))

static volatile sig_atomic_t own_signals;

static void count_signal(int number) {
  (void)number;
  ++own_signals;
}

static struct sockaddr_in local(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static int bound_socket(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const struct sockaddr_in address = local(0);
  CHECK(fd >= 0);
  CHECK(bind(fd, (const struct sockaddr*)&address, sizeof address) == 0);
  return fd;
}

// The shim's own fd: open for the kernel, not for us.
static int hidden_fd(void) {
  for (int fd = 3; fd < 1024; ++fd) {
    struct pollfd state = {.fd = fd};
    poll(&state, 1, 0);
    if ((state.revents & POLLNVAL) == 0 && fcntl(fd, F_GETFD) < 0) return fd;
  }
  return -1;
}

static void errno_is_ours(void) {
  errno = 77;
  const int fd = bound_socket();
  const int copy = dup(fd);
  const int high = fcntl(fd, F_DUPFD_CLOEXEC, 100);
  CHECK(dup2(fd, copy) == copy);
  CHECK(dup3(fd, high, O_CLOEXEC) == high);
  CHECK(fcntl(high, F_GETFD) == FD_CLOEXEC);
  const struct sockaddr_in peer = local(9);
  CHECK(connect(fd, (const struct sockaddr*)&peer, sizeof peer) == 0);
  const int one = 1;
  CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
  CHECK(close(fd) == 0 && close(copy) == 0 && close(high) == 0);
  CHECK(errno == 77);
  errno = 0;
  CHECK(close(fd) == -1 && errno == EBADF);
  errno = 0;
  CHECK(bind(-1, (const struct sockaddr*)&peer, sizeof peer) == -1 && errno == EBADF);
  errno = 0;
  CHECK(socket(AF_INET, SOCK_DGRAM, 255) == -1 && errno == EPROTONOSUPPORT);
  errno = 0;
  CHECK(dup2(fd, -1) == -1 && errno == EBADF);
  errno = 0;
  CHECK(fcntl(5000, F_SETFD, FD_CLOEXEC) == -1 && errno == EBADF);
}

static void our_fds_are_protected(void) {
  const int kept = bound_socket();
  int hidden = hidden_fd();
  CHECK(hidden >= 0);
  CHECK(close(hidden) == 0 && close(hidden) == 0);
  CHECK(dup(hidden) == -1 && errno == EBADF);
  CHECK(dup2(hidden, 200) == -1 && errno == EBADF);
  CHECK(fcntl(hidden, F_SETFD, 0) == -1 && errno == EBADF);
  // Somebody wants the very number.
  CHECK(dup2(kept, hidden) == hidden);
  const int moved = hidden_fd();
  CHECK(moved >= 0 && moved != hidden);
  CHECK(close(hidden) == 0);
  // A failed call leaves nothing behind.
  CHECK(dup2(5000, moved) == -1 && errno == EBADF);
  CHECK(hidden_fd() >= 0);
  CHECK(fcntl(moved, F_GETFD) == -1);
  struct pollfd state = {.fd = moved};
  poll(&state, 1, 0);
  CHECK(hidden_fd() == moved || (state.revents & POLLNVAL) != 0);
  CHECK(close_range(3, ~0U, 0) == 0);
  CHECK(hidden_fd() >= 0);
  closefrom(3);
  for (int fd = 3; fd < 1024; ++fd) close(fd);
  CHECK(hidden_fd() >= 0);
}

static void signal_reads_back(void) {
  struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_NODEFER};
  struct sigaction read = {0};
  CHECK(sigaction(SIGUSR2, NULL, &read) == 0 && read.sa_handler == SIG_DFL);
  CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
  CHECK(sigaction(SIGUSR2, NULL, &read) == 0 && read.sa_handler == count_signal);
  CHECK((read.sa_flags & (SA_NODEFER | SA_RESTART | SA_SIGINFO)) == SA_NODEFER);
  CHECK(signal(SIGUSR2, SIG_IGN) == count_signal);
  own_signals = 0;
  raise(SIGUSR2);
  CHECK(own_signals == 0);
  CHECK(signal(SIGUSR2, count_signal) == SIG_IGN);
  raise(SIGUSR2);
  CHECK(own_signals == 1);
  kill(getpid(), SIGUSR2);
  CHECK(own_signals == 2);
  CHECK(siginterrupt(SIGUSR2, 1) == 0);
  CHECK(sigaction(SIGUSR2, NULL, &read) == 0 && (read.sa_flags & SA_RESTART) == 0);
  CHECK(sysv_signal(SIGUSR2, count_signal) == count_signal);
  raise(SIGUSR2);
  CHECK(own_signals == 3);
  CHECK(sigaction(SIGUSR2, NULL, &read) == 0 && read.sa_handler == SIG_DFL);
  CHECK(sigignore(SIGUSR2) == 0);
  CHECK(sigset(SIGUSR2, count_signal) == SIG_IGN);
  // Another signal passes through.
  CHECK(signal(SIGUSR1, count_signal) == SIG_DFL);
  raise(SIGUSR1);
  CHECK(own_signals == 4);
}

static void masks_read_back(void) {
  signal(SIGUSR2, count_signal);
  own_signals = 0;
  sigset_t all, old;
  sigfillset(&all);
  CHECK(sigprocmask(SIG_SETMASK, &all, &old) == 0 && !sigismember(&old, SIGUSR2));
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &old) == 0 && sigismember(&old, SIGUSR2));
  // Sent to oneself while blocked: later.
  raise(SIGUSR2);
  CHECK(own_signals == 0);
  sigemptyset(&all);
  CHECK(sigsuspend(&all) == -1 && errno == EINTR);
  CHECK(own_signals == 1);
  raise(SIGUSR2);
  CHECK(own_signals == 1);
  CHECK(sigprocmask(SIG_SETMASK, &all, &old) == 0 && sigismember(&old, SIGUSR2));
  CHECK(own_signals == 2);
  CHECK(sighold(SIGUSR2) == 0);
  CHECK(sigprocmask(SIG_BLOCK, NULL, &old) == 0 && sigismember(&old, SIGUSR2));
  CHECK(sigset(SIGUSR2, count_signal) == SIG_HOLD);
  CHECK(sighold(SIGUSR2) == 0 && sigrelse(SIGUSR2) == 0);
  CHECK(sigprocmask(SIG_BLOCK, NULL, &old) == 0 && !sigismember(&old, SIGUSR2));
  errno = 0;
  CHECK(sigprocmask(99, &all, NULL) == -1 && errno == EINVAL);
}

// By default the signal is the end, as without us.
static void default_is_death(void) {
  signal(SIGUSR2, SIG_DFL);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    raise(SIGUSR2);
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
}

// The child of vfork has our memory, but fds of its own.
static int vfork_child_closes_everything(void) {
  const int fd = bound_socket();
  const pid_t child = vfork();
  if (child == 0) {
    close_range(3, ~0U, 0);
    close(fd);
    socket(AF_INET, SOCK_DGRAM, 0);
    _exit(0);
  }
  CHECK(waitpid(child, NULL, 0) == child);
  return fd;
}

static void nobody_to_wait_for(void) {
  errno = 0;
  CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

static void giving_up(void) {
  struct rlimit files;
  CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
  CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
  CHECK(prlimit(0, RLIMIT_NOFILE, NULL, &files) == 0);
  CHECK(setuid(getuid()) == 0 && setgid(getgid()) == 0);
  CHECK(setreuid((uid_t)-1, (uid_t)-1) == 0 && setresgid((gid_t)-1, (gid_t)-1, (gid_t)-1) == 0);
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  errno = 0;
  CHECK(chroot("/nowhere/at/all") == -1 && (errno == ENOENT || errno == EPERM));
}

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal_reads_back();
  masks_read_back();
  giving_up();
  errno_is_ours();
  our_fds_are_protected();
  default_is_death();
  const int first = vfork_child_closes_everything();
  const int second = dup(first);
  const int third = bound_socket();
  CHECK(first >= 0 && second >= 0 && third >= 0);
  nobody_to_wait_for();
  puts("done");
  if (argc > 1 && strcmp(argv[1], "stay") == 0) {
    for (;;) sleep(60);
  }
  return 0;
}
