// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A thread waits in each of the calls that know of signals while the test takes
// a checkpoint.  None of them may notice.
#include "signals.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

enum { kOther = SIGWINCH };
static const struct timespec two_seconds = {2, 0};
static sigset_t open_mask;
static sigset_t hides;
static int silent[2];
static int epoll_fd;
static sem_t started;

static int on_sigwait(void) {
  const sigset_t set = only_the_signal();
  int got = 0;
  const int error = sigwait(&set, &got);
  return error == 0 ? got == the_signal : -1;
}

static int on_sigwaitinfo(void) {
  const sigset_t set = only_the_signal();
  siginfo_t info;
  return sigwaitinfo(&set, &info) == the_signal ? 1 + (info.si_pid == getpid()) : -1;
}

static int on_sigtimedwait(void) {
  const sigset_t set = only_the_signal();
  return sigtimedwait(&set, NULL, &two_seconds);
}

static int on_wait_for_another(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return sigtimedwait(&set, NULL, &two_seconds);
}

static int on_ppoll(void) {
  struct pollfd one = {.fd = silent[0], .events = POLLIN};
  return ppoll(&one, 1, &two_seconds, &hides);
}

static int on_open_ppoll(void) { return ppoll(NULL, 0, NULL, &open_mask); }

static int on_plain_ppoll(void) { return ppoll(NULL, 0, &two_seconds, NULL); }

static int on_pselect(void) { return pselect(0, NULL, NULL, NULL, &two_seconds, &hides); }

static int on_open_pselect(void) { return pselect(0, NULL, NULL, NULL, NULL, &open_mask); }

static int on_epoll_pwait(void) {
  struct epoll_event event;
  return epoll_pwait(epoll_fd, &event, 1, 2000, &hides);
}

static int on_epoll_pwait2(void) {
  struct epoll_event event;
  return epoll_pwait2(epoll_fd, &event, 1, &two_seconds, &hides);
}

static int on_open_epoll_pwait(void) {
  struct epoll_event event;
  return epoll_pwait(epoll_fd, &event, 1, -1, &open_mask);
}

static int on_sigsuspend(void) { return sigsuspend(&hides); }

static int on_open_sigsuspend(void) { return sigsuspend(&open_mask); }

static int on_pause(void) {
  unblock_it();
  return pause();
}

static int on_nanosleep(void) { return nanosleep(&two_seconds, NULL); }

static int on_clock_nanosleep(void) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += 2;
  return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

static int on_sleep(void) { return (int)sleep(2); }

static int on_usleep(void) { return usleep(2000000); }

static int on_interrupted_sleep(void) { return (int)sleep(1000) > 900; }

static struct waiter {
  const char* name;
  int (*call)(void);
  int wakened_by;  // 0: by time; -1: the signal
  int result;
  int error;
  long ms;
  pthread_t thread;
} waiters[] = {
    {.name = "sigwait", .call = on_sigwait, .wakened_by = -1},
    {.name = "sigwaitinfo", .call = on_sigwaitinfo, .wakened_by = -1},
    {.name = "sigtimedwait", .call = on_sigtimedwait},
    {.name = "sigtimedwait for another", .call = on_wait_for_another},
    {.name = "ppoll", .call = on_ppoll},
    {.name = "ppoll, open", .call = on_open_ppoll, .wakened_by = -1},
    {.name = "ppoll, no mask", .call = on_plain_ppoll},
    {.name = "pselect", .call = on_pselect},
    {.name = "pselect, open", .call = on_open_pselect, .wakened_by = -1},
    {.name = "epoll_pwait", .call = on_epoll_pwait},
    {.name = "epoll_pwait, open", .call = on_open_epoll_pwait, .wakened_by = -1},
    {.name = "epoll_pwait2", .call = on_epoll_pwait2},
    {.name = "sigsuspend", .call = on_sigsuspend, .wakened_by = kOther},
    {.name = "sigsuspend, open", .call = on_open_sigsuspend, .wakened_by = -1},
    {.name = "nanosleep", .call = on_nanosleep},
    {.name = "clock_nanosleep", .call = on_clock_nanosleep},
    {.name = "sleep", .call = on_sleep},
    {.name = "usleep", .call = on_usleep},
    {.name = "sleep, interrupted", .call = on_interrupted_sleep, .wakened_by = kOther},
    {.name = "pause", .call = on_pause, .wakened_by = -1},
};
enum { kWaiters = sizeof waiters / sizeof waiters[0] };

static void* wait_in_it(void* raw) {
  struct waiter* const self = raw;
  struct timespec start;
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  sem_post(&started);
  self->result = self->call();
  self->error = errno;
  clock_gettime(CLOCK_MONOTONIC, &end);
  self->ms = (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
  return NULL;
}

static void do_nothing(int signal) { (void)signal; }

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  MUST(pipe(silent) == 0);
  epoll_fd = epoll_create1(0);
  MUST(sem_init(&started, 0, 0) == 0);
  struct sigaction action = {.sa_handler = do_nothing};
  MUST(sigaction(kOther, &action, NULL) == 0);
  MUST(sigaction(the_signal, &action, NULL) == 0);
  block_it();
  MUST(sigprocmask(SIG_BLOCK, NULL, &hides) == 0);
  open_mask = hides;
  sigdelset(&open_mask, the_signal);
  for (int i = 0; i < kWaiters; ++i) {
    MUST(pthread_create(&waiters[i].thread, NULL, wait_in_it, &waiters[i]) == 0);
    while (sem_wait(&started) != 0) {
    }
  }
  usleep(100 * 1000);
  await_test();
  for (int i = 0; i < kWaiters; ++i) {
    const int signal = waiters[i].wakened_by == -1 ? the_signal : waiters[i].wakened_by;
    if (signal != 0) MUST(pthread_kill(waiters[i].thread, signal) == 0);
  }
  for (int i = 0; i < kWaiters; ++i) {
    const struct waiter* const one = &waiters[i];
    MUST(pthread_join(one->thread, NULL) == 0);
    if (one->wakened_by == 0) {
      say("%s: %d %s, its time %d", one->name, one->result,
          one->result < 0 ? strerrorname_np(one->error) : "", one->ms >= 1999);
    } else {
      say("%s: %d %s", one->name, one->result, one->result < 0 ? strerrorname_np(one->error) : "");
    }
  }
  say_queued(fd);
  say("end");
  return 0;
}
