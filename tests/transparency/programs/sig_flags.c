// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Flags of the handler are obeyed; jumps out of it; the alternate stack.
#include "signals.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>
#include <sys/wait.h>

static char alternate[64 * 1024];
static sigjmp_buf away;
static int pipe_ends[2];

static bool is_on_alternate(void) {
  char here = 0;
  const char* const address = &here;
  return address >= alternate && address < alternate + sizeof alternate;
}

static void say_stack(int signal, siginfo_t* info, void* context) {
  (void)signal;
  (void)context;
  say_info("handler", info);
  say("on the alternate stack: %d", is_on_alternate());
}

static void nest(int signal, siginfo_t* info, void* context) {
  (void)context;
  say("level %d: value %d", (int)handled, info->si_value.sival_int);
  ++handled;
  if (handled < 3) queue_to_process(handled);
  say("level %d: blocked %d, pending %d", (int)handled, is_blocked(signal), is_pending());
  if (handled == 3) ++handled;
}

static void jump(int signal, siginfo_t* info, void* context) {
  (void)info;
  (void)context;
  say("jumping: blocked %d", is_blocked(signal));
  siglongjmp(away, 1);
}

static void leave_blocked(int signal, siginfo_t* info, void* context) {
  (void)info;
  sigaddset(&((ucontext_t*)context)->uc_sigmask, signal);
}

static void spoil_errno(int signal) {
  (void)signal;
  errno = EDOM;
}

static void say_disposition(const char* when) {
  struct sigaction now;
  memset(&now, 0, sizeof now);
  MUST(sigaction(the_signal, NULL, &now) == 0);
  // Only the flags that a program knows of.
  say("%s: %s, flags %#x, mask HUP %d KILL %d", when,
      now.sa_handler == SIG_DFL   ? "default"
      : now.sa_handler == SIG_IGN ? "ignored"
                                  : "handler",
      (unsigned)now.sa_flags, sigismember(&now.sa_mask, SIGHUP),
      sigismember(&now.sa_mask, SIGKILL));
}

// Whether a read is interrupted by a timer's signal.
static void read_with(int flags) {
  struct sigaction action = {.sa_flags = flags};
  action.sa_handler = spoil_errno;
  MUST(sigaction(the_signal, &action, NULL) == 0);
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = the_signal};
  MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  const struct itimerspec soon = {.it_value = {0, 20 * 1000 * 1000}};
  char letter;
  MUST(timer_settime(timer, 0, &soon, NULL) == 0);
  // With SA_RESTART another thread's letter ends it.
  report(flags & SA_RESTART ? "read, restarting" : "read", read(pipe_ends[0], &letter, 1));
  MUST(timer_delete(timer) == 0);
}

static void* write_later(void* unused) {
  (void)unused;
  usleep(100 * 1000);
  MUST(write(pipe_ends[1], "x", 1) == 1);
  return NULL;
}

// What is not handled ends the process, now or when it is opened.
static void end_by_default(bool blocked) {
  const pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    signal(the_signal, SIG_DFL);
    if (blocked) block_it();
    raise(the_signal);
    say("not yet: pending %d", is_pending());
    unblock_it();
    _exit(0);
  }
  int status = 0;
  MUST(waitpid(child, &status, 0) == child);
  say("ended by the signal: %d", WIFSIGNALED(status) && WTERMSIG(status) == the_signal);
}

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  MUST(pipe(pipe_ends) == 0);
  say_disposition("at first");
  const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  MUST(sigaltstack(&stack, NULL) == 0);

  set_handler(0, say_stack);
  raise(the_signal);
  set_handler(SA_ONSTACK, say_stack);
  raise(the_signal);
  say_disposition("SA_ONSTACK");

  set_handler(0, nest);
  handled = 0;
  queue_to_process(0);
  say("levels %d", (int)handled);
  set_handler(SA_NODEFER, nest);
  handled = 0;
  queue_to_process(0);
  say("levels %d", (int)handled);

  set_handler((int)SA_RESETHAND, say_stack);
  raise(the_signal);
  say_disposition("SA_RESETHAND");

  struct sigaction action = {.sa_flags = SA_NOCLDWAIT | SA_NOCLDSTOP};
  action.sa_handler = spoil_errno;
  sigfillset(&action.sa_mask);
  MUST(sigaction(the_signal, &action, NULL) == 0);
  say_disposition("a full mask");
  errno = 0;
  raise(the_signal);
  say("errno %s", strerrorname_np(errno));
  MUST(signal(the_signal, SIG_IGN) != SIG_ERR);
  say_disposition("signal");
  raise(the_signal);

  end_by_default(false);
  end_by_default(true);

  pthread_t writer;
  read_with(0);
  MUST(pthread_create(&writer, NULL, write_later, NULL) == 0);
  read_with(SA_RESTART);
  MUST(pthread_join(writer, NULL) == 0);
  siginterrupt(the_signal, 1);
  say_disposition("siginterrupt");

  // Out of the handler, with the mask and without.
  set_handler(SA_ONSTACK, jump);
  for (int saves = 0; saves < 2; ++saves) {
    if (sigsetjmp(away, saves) == 0) raise(the_signal);
    say("after siglongjmp, mask saved %d: blocked %d", saves, is_blocked(the_signal));
    unblock_it();
  }
  // What was believed at sigsetjmp, not at the signal.
  block_it();
  if (sigsetjmp(away, 1) == 0) {
    unblock_it();
    raise(the_signal);
  }
  say("blocked at sigsetjmp: %d", is_blocked(the_signal));
  unblock_it();
  if (sigsetjmp(away, 1) == 0) {
    block_it();
    raise(the_signal);
    say("pending %d", is_pending());
    set_handler(0, say_stack);
    siglongjmp(away, 1);
  }
  say("open at sigsetjmp: blocked %d, pending %d", is_blocked(the_signal), is_pending());
  // Out of sigsuspend.
  set_handler(0, jump);
  block_it();
  raise(the_signal);
  sigset_t open;
  sigemptyset(&open);
  if (sigsetjmp(away, 1) == 0) sigsuspend(&open);
  say("out of sigsuspend: blocked %d", is_blocked(the_signal));
  set_handler(0, leave_blocked);
  unblock_it();
  raise(the_signal);
  say("the handler has it blocked: %d", is_blocked(the_signal));
  raise(the_signal);
  say("pending %d", is_pending());
  unblock_it();
  say("still blocked: %d", is_blocked(the_signal));
  set_handler(0, handle_and_say);
  unblock_it();
  say("sigset: %d", sigset(the_signal, SIG_HOLD) != SIG_HOLD);
  say("sigset: %d", sigset(the_signal, SIG_DFL) == SIG_HOLD);
  say_disposition("sigset");
  say("sighold %d: %d", sighold(the_signal), is_blocked(the_signal));
  say("sigrelse %d: %d", sigrelse(the_signal), is_blocked(the_signal));
  say("sigignore %d", sigignore(the_signal));
  say_disposition("sigignore");

  // Left for good: a checkpoint must still come through.
  set_handler(0, jump);
  if (sigsetjmp(away, 0) == 0) raise(the_signal);
  say("left blocked: %d", is_blocked(the_signal));
  return serve(fd);
}
