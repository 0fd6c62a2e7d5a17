// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: reaper pid1|subreaper|plain [kill]
//
// Calls of the wait family in a process whose children are also those that
// others have left behind.  `kill`: as PID 1 it ends all that it may.
#include "transparency.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static volatile sig_atomic_t children_ended;

static void count_child(int signal) {
  (void)signal;
  ++children_ended;
}

static void no_children(void) {
  int status = 0;
  struct rusage usage;
  siginfo_t info = {0};
  report("waitpid WNOHANG", waitpid(-1, &status, WNOHANG));
  report("waitpid", waitpid(-1, &status, 0));
  report("waitpid of the group", waitpid(0, &status, 0));
  report("wait3", wait3(&status, 0, &usage));
  report("wait4", wait4(-1, &status, WUNTRACED | WCONTINUED, &usage));
  report("waitid", waitid(P_ALL, 0, &info, WEXITED | WNOHANG));
  report("waitid WNOWAIT", waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOWAIT));
  say("children that ended: %d", (int)children_ended);
}

// A child that ends at once; and, where those are adopted, one of its own that
// is left behind.
static void reap(int adopts) {
  const pid_t child = fork();
  if (child == 0) {
    const pid_t left = adopts ? fork() : 1;
    if (left == 0) {
      usleep(50 * 1000);
      _exit(7);
    }
    _exit(left > 0 ? 6 : 1);
  }
  for (int i = 0; i < 1 + adopts; ++i) {
    int status = 0;
    pid_t ended;
    do ended = waitpid(-1, &status, 0);
    while (ended < 0 && errno == EINTR);
    say("%s ended with %d",
        ended == child ? "the child"
        : ended > 0    ? "another"
                       : "none",
        WEXITSTATUS(status));
  }
}

static void end_all(void) {
  const pid_t child = fork();
  int status = 0;
  if (child == 0) {
    for (;;) pause();
  }
  report("kill", kill(-1, SIGTERM));
  while (waitpid(-1, &status, 0) < 0 && errno == EINTR) {
  }
  say("the child was ended by %s", strsignal(WTERMSIG(status)));
}

int main(int count, char** arguments) {
  MUST(count >= 2);
  const int is_first = strcmp(arguments[1], "pid1") == 0;
  const int subreaper = strcmp(arguments[1], "subreaper") == 0;
  if (is_first) say("pid %d", getpid());
  if (subreaper) report("subreaper", prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  const struct sigaction action = {.sa_handler = count_child, .sa_flags = 0};
  MUST(sigaction(SIGCHLD, &action, NULL) == 0);
  no_children();
  const int fd = udp_socket(5300);
  no_children();
  reap(is_first || subreaper);
  no_children();
  if (count > 2) end_all();
  const int status = serve(fd);
  no_children();
  return status;
}
