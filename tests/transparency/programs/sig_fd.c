// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The program reads its own signal from a signalfd.
#include "signals.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

static int signals_fd;

static void read_one(const char* what) {
  struct signalfd_siginfo one = {0};
  const ssize_t size = read(signals_fd, &one, sizeof one);
  if (report(what, size) > 0) {
    say("%s: the signal %d, %s, value %d, own %d", what, (int)one.ssi_signo == the_signal,
        code_name(one.ssi_code), one.ssi_code == SI_QUEUE ? one.ssi_int : 0,
        (pid_t)one.ssi_pid == getpid());
  }
}

static int is_readable(void) {
  struct pollfd one = {.fd = signals_fd, .events = POLLIN};
  return poll(&one, 1, 0);
}

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  set_handler(0, handle_and_say);
  sigset_t set = only_the_signal();
  block_it();
  // Before there is a signalfd.
  queue_to_process(1);
  signals_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  say("signalfd %d", signals_fd);
  say("readable %d, pending %d", is_readable(), is_pending());
  read_one("sent before");
  say("readable %d, pending %d", is_readable(), is_pending());
  read_one("nothing");

  MUST(kill(getpid(), the_signal) == 0);
  say("readable %d, pending %d", is_readable(), is_pending());
  read_one("kill");
  MUST(raise(the_signal) == 0);
  read_one("raise");
  queue_to_process(2);
  // A wait that hides it takes its time.
  sigset_t hides;
  MUST(sigprocmask(SIG_BLOCK, NULL, &hides) == 0);
  const struct timespec shortly = {0, 20 * 1000 * 1000};
  report("ppoll of nothing", ppoll(NULL, 0, &shortly, &hides));
  struct pollfd one = {.fd = signals_fd, .events = POLLIN};
  report("ppoll of the signalfd", ppoll(&one, 1, NULL, &hides));
  read_one("sigqueue");

  // It is not the child's.
  queue_to_process(8);
  const pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    say("child: readable %d, pending %d, blocked %d", is_readable(), is_pending(),
        is_blocked(the_signal));
    raise(the_signal);
    read_one("child");
    _exit(0);
  }
  MUST(waitpid(child, NULL, 0) == child);
  read_one("parent");

  // sigwait and handlers get it as well.
  queue_to_process(3);
  siginfo_t info;
  report("sigwaitinfo", sigwaitinfo(&set, &info) == the_signal);
  say_info("sigwaitinfo", &info);
  say("readable %d", is_readable());
  queue_to_process(4);
  unblock_it();
  say("handled %d, readable %d", (int)handled, is_readable());
  queue_to_process(5);
  say("handled %d", (int)handled);
  block_it();
  sigset_t open = hides;
  sigdelset(&open, the_signal);
  queue_to_process(6);
  report("ppoll", ppoll(NULL, 0, NULL, &open));
  say("handled %d, pending %d", (int)handled, is_pending());

  // Another mask, the same fd.
  sigaddset(&set, SIGINT);
  MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  report("signalfd", signalfd(signals_fd, &set, 0) == signals_fd);
  MUST(kill(getpid(), SIGINT) == 0);
  queue_to_process(7);
  // The lower number first.
  for (int i = 0; i < 2; ++i) {
    struct signalfd_siginfo got = {0};
    MUST(read(signals_fd, &got, sizeof got) == sizeof got);
    say("read: INT %d, the signal %d", got.ssi_signo == SIGINT, (int)got.ssi_signo == the_signal);
  }
  // Looking lets go of what has been read.
  say("pending %d", is_pending());
  block_it();
  return serve(fd);
}
