// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Calls with a signal mask of their own: they open the signal, or hide it.
#include "signals.h"

#include <dlfcn.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

static int pipe_ends[2];
static int epoll_fd;
static const struct timespec shortly = {0, 60 * 1000 * 1000};

static int call_ppoll(const sigset_t* mask) {
  struct pollfd one = {.fd = pipe_ends[0], .events = POLLIN};
  return ppoll(&one, 1, &shortly, mask);
}

static int call_pselect(const sigset_t* mask) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(pipe_ends[0], &set);
  return pselect(pipe_ends[0] + 1, &set, NULL, NULL, &shortly, mask);
}

static int call_epoll_pwait(const sigset_t* mask) {
  struct epoll_event event;
  return epoll_pwait(epoll_fd, &event, 1, 60, mask);
}

static int call_epoll_pwait2(const sigset_t* mask) {
  struct epoll_event event;
  return epoll_pwait2(epoll_fd, &event, 1, &shortly, mask);
}

static int call_sigsuspend(const sigset_t* mask) { return sigsuspend(mask); }

static const struct {
  const char* name;
  int (*call)(const sigset_t*);
} calls[] = {
    {"ppoll", call_ppoll},
    {"pselect", call_pselect},
    {"epoll_pwait", call_epoll_pwait},
    {"epoll_pwait2", call_epoll_pwait2},
    {"sigsuspend", call_sigsuspend},
};

static int bsd_mask(void) { return 1 << (the_signal - 1); }

static void handle_other(int signal) {
  (void)signal;
  say("another handler: blocked %d", is_blocked(the_signal));
}

// Within 60 ms and its half, or later.
static long elapsed_class(const struct timespec* start) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const long ms = (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
  return ms >= 59;
}

static void say_other(int signal) {
  (void)signal;
  say("in the handler: another signal is blocked %d", is_blocked(SIGWINCH));
}

static void try_one(int number, const sigset_t* open, const sigset_t* hides) {
  const char* const name = calls[number].name;
  int (*const call)(const sigset_t*) = calls[number].call;
  const bool waits = call != call_sigsuspend;
  say("%s", name);
  block_it();
  // Pending, and the call opens it.
  queue_to_process(100 + number);
  say("pending %d", is_pending());
  report("opened", call(open));
  say("handled %d, pending %d, blocked %d", (int)handled, is_pending(), is_blocked(the_signal));
  if (waits) {
    // What is ready comes first, and the signal stays.
    queue_to_process(200 + number);
    MUST(write(pipe_ends[1], "x", 1) == 1);
    report("ready", call(open));
    say("handled %d, pending %d", (int)handled, is_pending());
    char letter;
    MUST(read(pipe_ends[0], &letter, 1) == 1);
    // Hidden: the call takes its time.
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    report("hidden", call(hides));
    say("handled %d, pending %d, took its time %ld", (int)handled, is_pending(),
        elapsed_class(&start));
    unblock_it();
    say("unblocked: handled %d", (int)handled);
    // A timer's comes while the call hides it, though the program does not block it.
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = the_signal};
    event.sigev_value.sival_int = 300 + number;
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    const struct itimerspec soon = {.it_value = {0, 20 * 1000 * 1000}};
    MUST(timer_settime(timer, 0, &soon, NULL) == 0);
    report("hidden within", call(hides));
    say("handled %d, blocked %d", (int)handled, is_blocked(the_signal));
    // And without a mask it ends the call.
    MUST(timer_settime(timer, 0, &soon, NULL) == 0);
    report("no mask", call(NULL));
    say("handled %d", (int)handled);
    block_it();
    MUST(timer_settime(timer, 0, &soon, NULL) == 0);
    report("opened within", call(open));
    say("handled %d, blocked %d", (int)handled, is_blocked(the_signal));
    MUST(timer_delete(timer) == 0);
  }
  // Another signal's handler: within, its mask is the call's and its own.
  ualarm(20 * 1000, 0);
  report("an alarm", call(hides));
  ualarm(20 * 1000, 0);
  report("an alarm", call(open));
  unblock_it();
}

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  MUST(pipe(pipe_ends) == 0);
  epoll_fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipe_ends[0], &event) == 0);
  set_handler(0, handle_and_say);
  struct sigaction action = {.sa_handler = handle_other};
  MUST(sigaction(SIGALRM, &action, NULL) == 0);
  sigset_t open;
  sigset_t hides;
  MUST(sigprocmask(SIG_BLOCK, NULL, &open) == 0);
  sigdelset(&open, the_signal);
  hides = open;
  sigaddset(&hides, the_signal);
  for (int i = 0; i < (int)(sizeof calls / sizeof calls[0]); ++i) try_one(i, &open, &hides);

  // A handler's mask is the call's, not the one outside of it.
  block_it();
  sigset_t blocks_other = open;
  sigaddset(&blocks_other, SIGWINCH);
  action.sa_handler = say_other;
  MUST(sigaction(the_signal, &action, NULL) == 0);
  raise(the_signal);
  report("sigsuspend", sigsuspend(&blocks_other));
  set_handler(0, handle_and_say);
  queue_to_process(400);
  report("sigpause", sigpause(the_signal));
  say("handled %d, blocked %d", (int)handled, is_blocked(the_signal));
  if (the_signal < 32) {
    const int old = sigsetmask(0);
    say("sigsetmask: was blocked %d, blocked %d", (old & bsd_mask()) != 0,
        is_blocked(the_signal));
    say("sigblock: %d", (sigblock(bsd_mask()) & bsd_mask()) != 0);
    // The linker warns of it.
    int (*const get)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "siggetmask");
    say("siggetmask: %d", (get() & bsd_mask()) != 0);
  }
  unblock_it();
  return serve(fd);
}
