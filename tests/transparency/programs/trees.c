// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: trees WAY
//
// A parent and its workers, as servers have them.  Each worker says what it
// has queued when its parent says so; one after the other, in order.
#include "transparency.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define WORKERS 3

struct worker {
  pid_t pid;
  int orders;   // from the parent
  int answers;  // to the parent
};

static int quiet;
static struct worker workers[WORKERS];

static int group_socket(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  MUST(fd >= 0);
  MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) == 0);
  MUST(bind_loopback(fd, 5300) == 0);
  return fd;
}

__attribute__((noreturn)) static void work(int number, int fd, int orders, int answers) {
  char letter;
  if (fd < 0) fd = group_socket();
  if (!quiet) say("worker %d has fd %d", number, fd);
  MUST(write(answers, "x", 1) == 1);
  for (;;) {
    const ssize_t size = read(orders, &letter, 1);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) _exit(0);
    if (letter == 'e') _exit(3);
    say("worker %d looks", number);
    say_queued(fd);
    MUST(write(answers, "x", 1) == 1);
  }
}

static void await_answer(const struct worker* worker) {
  char letter;
  ssize_t size = 0;
  do {
    size = read(worker->answers, &letter, 1);
  } while (size < 0 && errno == EINTR);
  MUST(size == 1);
}

static void start_worker(int number, int fd) {
  int orders[2];
  int answers[2];
  MUST(pipe2(orders, O_CLOEXEC) == 0 && pipe2(answers, O_CLOEXEC) == 0);
  struct worker* const worker = &workers[number];
  worker->pid = fork();
  MUST(worker->pid >= 0);
  if (worker->pid == 0) {
    close(orders[1]);
    close(answers[0]);
    for (int other = 0; other < WORKERS; ++other) {
      if (other == number || workers[other].pid == 0) continue;
      close(workers[other].orders);
      close(workers[other].answers);
    }
    work(number, fd, orders[0], answers[1]);
  }
  close(orders[0]);
  close(answers[1]);
  worker->orders = orders[1];
  worker->answers = answers[0];
  await_answer(worker);
}

static void end_worker(int number) {
  int status = 0;
  MUST(write(workers[number].orders, "e", 1) == 1);
  while (waitpid(workers[number].pid, &status, 0) < 0) MUST(errno == EINTR);
  if (!quiet) say("worker %d ended with %d", number, WEXITSTATUS(status));
  close(workers[number].orders);
  close(workers[number].answers);
  workers[number].pid = 0;
}

static volatile sig_atomic_t wanted;

static void want(int number) {
  (void)number;
  wanted = 1;
}

// As await_test(), and starts worker 1 anew when SIGHUP comes.
static void await_test_or_signal(void) {
  struct pollfd order = {0, POLLIN, 0};
  const struct sigaction action = {.sa_handler = want};
  MUST(sigaction(SIGHUP, &action, NULL) == 0);
  quiet = 1;
  for (int ready = 0; (ready = poll(&order, 1, 50)) <= 0;) {
    MUST(ready == 0 || errno == EINTR);
    if (!wanted) continue;
    wanted = 0;
    end_worker(1);
    start_worker(1, -1);
    close(open("restarted", O_CREAT | O_RDWR, 0600));
  }
  quiet = 0;
}

int main(int argc, char** argv) {
  MUST(argc == 2);
  const char* const way = argv[1];
  int fd = -1;
  if (strcmp(way, "prefork") == 0) {
    // One that all share; the parent keeps none.
    fd = udp_socket(5300);
  } else if (strcmp(way, "own") == 0 || strcmp(way, "restarted") == 0) {
    // A socket for each; the parent has one as well, elsewhere.
    udp_socket(5301);
  } else if (strcmp(way, "made_by_parent") == 0) {
    // As nginx: the parent makes them all, each worker keeps its own.
    int fds[WORKERS];
    for (int i = 0; i < WORKERS; ++i) fds[i] = group_socket();
    for (int i = 0; i < WORKERS; ++i) start_worker(i, fds[i]);
  }
  for (int i = 0; i < WORKERS && workers[i].pid == 0; ++i) start_worker(i, fd);
  if (fd >= 0) close(fd);
  say("ready");
  await_test_or_signal();
  for (int i = 0; i < WORKERS; ++i) {
    MUST(write(workers[i].orders, "l", 1) == 1);
    await_answer(&workers[i]);
  }
  for (int i = 0; i < WORKERS; ++i) end_worker(i);
  return 0;
}
