// SPDX-License-Identifier: LGPL-2.1-or-later
//
// For the programs that use the checkpoint signal for themselves: it is the
// first argument, a number; SIGUSR2 without.
#pragma once
#include "transparency.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

// Old calls are calls too.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static int the_signal = SIGUSR2;
static volatile sig_atomic_t handled;

static inline void choose_signal(int argc, char** argv) {
  if (argc > 1) the_signal = atoi(argv[1]);
}

static inline const char* code_name(int code) {
  switch (code) {
    case SI_USER:
      return "SI_USER";
    case SI_TKILL:
      return "SI_TKILL";
    case SI_QUEUE:
      return "SI_QUEUE";
    case SI_TIMER:
      return "SI_TIMER";
    default:
      return "another code";
  }
}

static inline void say_info(const char* what, const siginfo_t* info) {
  const bool valued = info->si_code == SI_QUEUE || info->si_code == SI_TIMER;
  say("%s: the signal %d, %s, value %d, own %d", what, info->si_signo == the_signal,
      code_name(info->si_code), valued ? info->si_value.sival_int : 0,
      info->si_code == SI_TIMER || (info->si_pid == getpid() && info->si_uid == getuid()));
}

static inline bool is_blocked(int signal) {
  sigset_t now;
  MUST(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0);
  return sigismember(&now, signal) == 1;
}

static inline void handle_and_say(int signal, siginfo_t* info, void* context) {
  (void)context;
  ++handled;
  say_info("handler", info);
  say("in the handler: blocked %d", is_blocked(signal));
}

static inline void set_handler(int flags, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action = {.sa_flags = flags | SA_SIGINFO};
  action.sa_sigaction = handler;
  MUST(sigaction(the_signal, &action, NULL) == 0);
}

static inline sigset_t only_the_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, the_signal);
  return set;
}

static inline void block_it(void) {
  const sigset_t set = only_the_signal();
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

static inline void unblock_it(void) {
  const sigset_t set = only_the_signal();
  MUST(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
}

static inline bool is_pending(void) {
  sigset_t set;
  MUST(sigpending(&set) == 0);
  return sigismember(&set, the_signal) == 1;
}

static inline void queue_to_process(int value) {
  MUST(sigqueue(getpid(), the_signal, (union sigval){.sival_int = value}) == 0);
}
