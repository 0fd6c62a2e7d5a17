// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Signals to the process and to a thread; what new threads inherit.
#include "signals.h"

#include <pthread.h>
#include <semaphore.h>
#include <threads.h>

enum { look, wait_for_it, open_it, leave };
static volatile int order;
static sem_t go;
static sem_t done;
static pthread_t worker;

static void handle_and_tell(int signal, siginfo_t* info, void* context) {
  (void)signal;
  (void)context;
  ++handled;
  say_info(pthread_equal(pthread_self(), worker) ? "handler in the worker" : "handler in main",
           info);
}

static void* work(void* unused) {
  (void)unused;
  say("worker: blocked %d", is_blocked(the_signal));
  for (;;) {
    sem_post(&done);
    while (sem_wait(&go) != 0) {
    }
    if (order == look) {
      say("worker: pending %d", is_pending());
    } else if (order == open_it) {
      unblock_it();
      say("worker: opened");
    } else if (order == wait_for_it) {
      const sigset_t set = only_the_signal();
      siginfo_t info;
      sem_post(&done);
      report("worker: sigwaitinfo", sigwaitinfo(&set, &info) == the_signal);
      say_info("worker", &info);
    } else {
      return NULL;
    }
  }
}

static void await_worker(void) {
  while (sem_wait(&done) != 0) {
  }
}

static void let_worker(int what) {
  order = what;
  sem_post(&go);
  await_worker();
}

static void start_worker(const pthread_attr_t* attributes) {
  MUST(pthread_create(&worker, attributes, work, NULL) == 0);
  await_worker();
}

static void end_worker(void) {
  order = leave;
  sem_post(&go);
  MUST(pthread_join(worker, NULL) == 0);
}

static void* say_blocked(void* name) {
  say("%s: blocked %d", (const char*)name, is_blocked(the_signal));
  return NULL;
}

static int c_thread(void* name) {
  say_blocked(name);
  return 3;
}

#ifndef __SANITIZE_ADDRESS__  // it takes the unwound stack for one in use
static void* wait_to_be_cancelled(void* unused) {
  const sigset_t set = only_the_signal();
  (void)unused;
  say("to be cancelled");
  sem_post(&done);
  sigwaitinfo(&set, NULL);
  say("not cancelled");
  return NULL;
}
#endif

static void* do_nothing(void* unused) { return unused; }

static void in_thread(const char* name, const pthread_attr_t* attributes) {
  pthread_t thread;
  MUST(pthread_create(&thread, attributes, say_blocked, (void*)name) == 0);
  MUST(pthread_join(thread, NULL) == 0);
}

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  MUST(sem_init(&go, 0, 0) == 0 && sem_init(&done, 0, 0) == 0);
  set_handler(SA_RESTART, handle_and_tell);

  say("main blocks, the worker does not");
  start_worker(NULL);
  block_it();
  queue_to_process(1);
  // The worker's handler runs at once: it is another thread.
  for (int i = 0; i < 200 && handled < 1; ++i) usleep(5000);
  say("handled %d, pending %d", (int)handled, is_pending());
  MUST(pthread_kill(pthread_self(), the_signal) == 0);
  say("of main: handled %d, pending %d", (int)handled, is_pending());
  let_worker(look);
  MUST(pthread_kill(worker, the_signal) == 0);
  for (int i = 0; i < 200 && handled < 2; ++i) usleep(5000);
  say("of the worker: handled %d", (int)handled);
  unblock_it();
  say("opened: handled %d", (int)handled);
  end_worker();

  say("all block");
  block_it();
  start_worker(NULL);
  queue_to_process(2);
  say("pending %d, handled %d", is_pending(), (int)handled);
  let_worker(look);
  let_worker(open_it);
  say("pending %d, handled %d", is_pending(), (int)handled);
  end_worker();

  say("the worker waits");
  start_worker(NULL);
  let_worker(wait_for_it);
  usleep(50 * 1000);
  queue_to_process(3);
  await_worker();
  say("pending %d", is_pending());
  let_worker(wait_for_it);
  usleep(50 * 1000);
  MUST(pthread_sigqueue(worker, the_signal, (union sigval){.sival_int = 4}) == 0);
  await_worker();
  // Of the worker alone.
  MUST(pthread_sigqueue(worker, the_signal, (union sigval){.sival_int = 5}) == 0);
  usleep(20 * 1000);
  say("main: pending %d", is_pending());
  let_worker(look);
  let_worker(open_it);
  end_worker();

  say("inherited");
  in_thread("pthread_create, blocked", NULL);
  pthread_attr_t attributes;
  sigset_t set;
  sigemptyset(&set);
  MUST(pthread_attr_init(&attributes) == 0);
  MUST(pthread_attr_setsigmask_np(&attributes, &set) == 0);
  in_thread("with an empty mask", &attributes);
  unblock_it();
  in_thread("pthread_create, open", NULL);
  set = only_the_signal();
  MUST(pthread_attr_setsigmask_np(&attributes, &set) == 0);
  in_thread("with the signal in the mask", &attributes);
  thrd_t c;
  int result = 0;
  block_it();
  MUST(thrd_create(&c, c_thread, (void*)"thrd_create, blocked") == thrd_success);
  MUST(thrd_join(c, &result) == thrd_success);
  say("thrd_create: %d", result);
  MUST(thrd_create(&c, c_thread, (void*)"thrd_create, blocked") == thrd_success);
  MUST(thrd_join(c, &result) == thrd_success);

#ifndef __SANITIZE_ADDRESS__
  pthread_t cancelled;
  void* outcome = NULL;
  MUST(pthread_create(&cancelled, NULL, wait_to_be_cancelled, NULL) == 0);
  await_worker();
  usleep(20 * 1000);
  MUST(pthread_cancel(cancelled) == 0);
  MUST(pthread_join(cancelled, &outcome) == 0);
  say("cancelled %d", outcome == PTHREAD_CANCELED);
#endif

  // Ended threads are in nobody's way.
  for (int i = 0; i < 1500; ++i) {
    pthread_t brief;
    MUST(pthread_create(&brief, NULL, do_nothing, NULL) == 0);
    MUST(pthread_join(brief, NULL) == 0);
  }
  queue_to_process(6);
  say("handled %d, pending %d", (int)handled, is_pending());
  unblock_it();
  say("handled %d, pending %d", (int)handled, is_pending());
  return serve(fd);
}
