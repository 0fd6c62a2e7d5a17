// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The program blocks the signal, sends it to itself, sees it pending and waits
// for it.
#include "signals.h"

#include <pthread.h>
#include <time.h>

static const struct timespec at_once = {0, 0};
static const struct timespec shortly = {0, 50 * 1000 * 1000};

static void wait_at_once(const char* what) {
  const sigset_t set = only_the_signal();
  siginfo_t info = {0};
  if (report(what, sigtimedwait(&set, &info, &at_once) == the_signal ? 1 : -1) > 0) {
    say_info(what, &info);
  }
}

static void* send_later(void* to) {
  usleep(30 * 1000);
  if (to != NULL) {
    pthread_kill(*(pthread_t*)to, the_signal);
  } else {
    queue_to_process(77);
  }
  return NULL;
}

static void wait_for_another_thread(bool directed) {
  const sigset_t set = only_the_signal();
  pthread_t me = pthread_self();
  pthread_t sender;
  siginfo_t info = {0};
  MUST(pthread_create(&sender, NULL, send_later, directed ? &me : NULL) == 0);
  report("sigwaitinfo", sigwaitinfo(&set, &info) == the_signal);
  say_info("sigwaitinfo", &info);
  MUST(pthread_join(sender, NULL) == 0);
}

static void handle_alarm(int signal) { (void)signal; }

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  set_handler(0, handle_and_say);
  block_it();
  say("blocked %d pending %d", is_blocked(the_signal), is_pending());

  MUST(kill(getpid(), the_signal) == 0);
  say("after kill: pending %d, handled %d", is_pending(), (int)handled);
  wait_at_once("after kill");
  say("after the wait: pending %d", is_pending());
  wait_at_once("again");

  MUST(raise(the_signal) == 0);
  wait_at_once("after raise");
  queue_to_process(11);
  queue_to_process(12);
  wait_at_once("after sigqueue");
  wait_at_once("after sigqueue");
  wait_at_once("after sigqueue");

  // Both the thread's and the process's: the thread's comes first.
  queue_to_process(13);
  MUST(pthread_kill(pthread_self(), the_signal) == 0);
  wait_at_once("of the thread");
  wait_at_once("of the process");
  MUST(pthread_sigqueue(pthread_self(), the_signal, (union sigval){.sival_int = 14}) == 0);
  queue_to_process(15);
  wait_at_once("of the thread");
  wait_at_once("of the process");

  const sigset_t set = only_the_signal();
  int got = 0;
  MUST(raise(the_signal) == 0);
  say("sigwait: %d %d", sigwait(&set, &got), got == the_signal);
  wait_for_another_thread(true);
  wait_for_another_thread(false);

  // A time-out, and another signal's handler.
  report("sigtimedwait, nothing comes", sigtimedwait(&set, NULL, &shortly));
  struct sigaction action = {.sa_handler = handle_alarm, .sa_flags = SA_RESTART};
  MUST(sigaction(SIGALRM, &action, NULL) == 0);
  ualarm(30 * 1000, 0);
  report("sigtimedwait, an alarm", sigtimedwait(&set, NULL, &(struct timespec){5, 0}));
  const struct timespec wrong = {0, -1};
  report("sigtimedwait, no time", sigtimedwait(&set, NULL, &wrong));

  // Timers are the program's own as well.
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = the_signal};
  event.sigev_value.sival_int = 21;
  MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  const struct itimerspec soon = {.it_value = {0, 10 * 1000 * 1000}};
  MUST(timer_settime(timer, 0, &soon, NULL) == 0);
  siginfo_t info = {0};
  report("sigwaitinfo, a timer", sigwaitinfo(&set, &info) == the_signal);
  say_info("timer", &info);
  MUST(timer_settime(timer, 0, &soon, NULL) == 0);
  usleep(50 * 1000);
  say("a timer: pending %d", is_pending());
  wait_at_once("a timer");

  // What is pending is delivered when it is opened, once.
  queue_to_process(16);
  say("before: handled %d", (int)handled);
  unblock_it();
  say("after: handled %d pending %d", (int)handled, is_pending());
  queue_to_process(17);
  say("open: handled %d", (int)handled);

  // What is ignored is not kept, but what is blocked is until then.
  block_it();
  queue_to_process(18);
  say("blocked: pending %d", is_pending());
  MUST(signal(the_signal, SIG_IGN) != SIG_ERR);
  say("ignored: pending %d", is_pending());
  queue_to_process(19);
  say("ignored and blocked: pending %d", is_pending());
  set_handler(0, handle_and_say);
  unblock_it();
  say("opened: handled %d", (int)handled);

  // Kept over a checkpoint.
  block_it();
  queue_to_process(20);
  await_test();
  say("after the test: pending %d", is_pending());
  wait_at_once("after the test");
  say_queued(fd);
  say("end");
  return 0;
}
