// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Threads send the signal to themselves and take it in every way, as fast as
// they can, while the test takes checkpoints.  Each must come exactly once.
#include "signals.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <time.h>

enum { kRounds = 3000, kWorkers = 4 };
static __thread volatile int here;  // handled in this thread
static __thread sigjmp_buf back;
static __thread volatile bool jumps;
static volatile bool goes_on = true;
static const struct timespec long_time = {30, 0};

static void count(int signal) {
  (void)signal;
  ++here;
  if (jumps) siglongjmp(back, 1);
}

static long open_rounds(void) {
  for (int i = 0; i < kRounds; ++i) raise(the_signal);
  return here;
}

static long blocked_rounds(void) {
  block_it();
  for (int i = 0; i < kRounds; ++i) {
    raise(the_signal);
    MUST(is_pending() && here == i);
    unblock_it();
    MUST(!is_pending() && here == i + 1);
    block_it();
  }
  return here;
}

static long waiting_rounds(void) {
  const sigset_t set = only_the_signal();
  long got = 0;
  block_it();
  for (int i = 0; i < kRounds; ++i) {
    siginfo_t info;
    raise(the_signal);
    got += sigtimedwait(&set, &info, &long_time) == the_signal && info.si_pid == getpid();
  }
  return got + here;
}

static long masked_rounds(void) {
  sigset_t open;
  long got = 0;
  block_it();
  MUST(pthread_sigmask(SIG_BLOCK, NULL, &open) == 0);
  sigdelset(&open, the_signal);
  for (int i = 0; i < kRounds; ++i) {
    raise(the_signal);
    got += (i % 2 == 0 ? ppoll(NULL, 0, &long_time, &open) : sigsuspend(&open)) == -1;
    MUST(here == i + 1);
  }
  return got;
}

static long jumping_rounds(void) {
  jumps = true;
  for (volatile int i = 0; i < kRounds; ++i) {
    if (sigsetjmp(back, 1) == 0) raise(the_signal);
    MUST(!is_blocked(the_signal));
  }
  jumps = false;
  return here;
}

static long (*const ways[])(void) = {open_rounds, blocked_rounds, waiting_rounds, masked_rounds,
                                     jumping_rounds};
enum { kWays = sizeof ways / sizeof ways[0] };

// Until the test has had its checkpoints.
static void* work(void* raw) {
  const size_t number = (size_t)raw;
  long wrong = 0;
  for (size_t turn = number; goes_on; ++turn) {
    here = 0;
    wrong += ways[turn % kWays]() != kRounds;
    unblock_it();
  }
  return (void*)wrong;
}

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
  MUST(sigaction(the_signal, &action, NULL) == 0);
  pthread_t threads[kWorkers];
  for (size_t i = 0; i < kWorkers; ++i) {
    MUST(pthread_create(&threads[i], NULL, work, (void*)i) == 0);
  }
  await_test();
  goes_on = false;
  for (size_t i = 0; i < kWorkers; ++i) {
    void* wrong = NULL;
    MUST(pthread_join(threads[i], &wrong) == 0);
    say("thread %zu: wrong rounds %ld", i, (long)wrong);
  }
  say_queued(fd);
  say("end");
  return 0;
}
