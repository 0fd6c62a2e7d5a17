// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Calls with a signal mask of their own: they open the signal, or hide it.
#include "signals.h"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

static int pipe_ends[2];
static int epoll_fd;
// Of a call that nothing ends; of one that a signal ends.
enum { kShortMs = 60, kLongMs = 20 * 1000 };
static int wait_ms = kShortMs;

static const struct timespec* timeout(void) {
  static struct timespec one;
  one = (struct timespec){wait_ms / 1000, wait_ms % 1000 * 1000000};
  return &one;
}

static int call_ppoll(const sigset_t* mask) {
  struct pollfd one = {.fd = pipe_ends[0], .events = POLLIN};
  return ppoll(&one, 1, timeout(), mask);
}

static int call_pselect(const sigset_t* mask) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(pipe_ends[0], &set);
  return pselect(pipe_ends[0] + 1, &set, NULL, NULL, timeout(), mask);
}

static int call_epoll_pwait(const sigset_t* mask) {
  struct epoll_event event;
  return epoll_pwait(epoll_fd, &event, 1, wait_ms, mask);
}

static int call_epoll_pwait2(const sigset_t* mask) {
  struct epoll_event event;
  return epoll_pwait2(epoll_fd, &event, 1, timeout(), mask);
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

static struct {
  pid_t thread;
  int signal;
  int value;
} later;

// To the process, once the thread sleeps in its call.
static void* send_later(void* unused) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", later.thread);
  for (char state = 'R'; state != 'S'; usleep(2000)) {
    FILE* const stat = fopen(path, "r");
    MUST(stat != NULL && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1);
    fclose(stat);
  }
  MUST(sigqueue(getpid(), later.signal, (union sigval){.sival_int = later.value}) == 0);
  return unused;
}

static void call_and_send(const char* what, int (*call)(const sigset_t*), const sigset_t* mask,
                          int signal, int value) {
  sigset_t all;
  sigset_t before;
  pthread_t sender;
  later.thread = gettid();
  later.signal = signal;
  later.value = value;
  sigfillset(&all);
  MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  MUST(pthread_create(&sender, NULL, send_later, NULL) == 0);
  MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
  const int result = call(mask);
  const int error = errno;
  MUST(pthread_join(sender, NULL) == 0);
  errno = error;
  report(what, result);
}

static long took_its_time(const struct timespec* start) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const long ms = (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
  return ms >= kShortMs - 1;
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
        took_its_time(&start));
    unblock_it();
    say("unblocked: handled %d", (int)handled);
    // One comes while the call hides it, though the program does not block it.
    call_and_send("hidden within", call, hides, the_signal, 300 + number);
    say("handled %d, blocked %d", (int)handled, is_blocked(the_signal));
    // And without a mask it ends the call.
    wait_ms = kLongMs;
    call_and_send("no mask", call, NULL, the_signal, 400 + number);
    say("handled %d", (int)handled);
    block_it();
  }
  wait_ms = kLongMs;
  call_and_send("opened within", call, open, the_signal, 500 + number);
  say("handled %d, blocked %d", (int)handled, is_blocked(the_signal));
  // Another signal's handler: within, its mask is the call's and its own.
  call_and_send("another", call, hides, SIGALRM, 0);
  call_and_send("another", call, open, SIGALRM, 0);
  wait_ms = kShortMs;
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
    say("sigsetmask: was blocked %d, blocked %d", (old & bsd_mask()) != 0, is_blocked(the_signal));
    say("sigblock: %d", (sigblock(bsd_mask()) & bsd_mask()) != 0);
    // The linker warns of it.
    int (*const get)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "siggetmask");
    say("siggetmask: %d", (get() & bsd_mask()) != 0);
  }
  unblock_it();
  return serve(fd);
}
