// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Waits for a signal that comes from outside, and that it blocks.
#include "signals.h"

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  const sigset_t set = only_the_signal();
  siginfo_t info = {0};
  block_it();
  await_test();
  report("sigwaitinfo", sigwaitinfo(&set, &info) == the_signal);
  say("%s, from outside %d", code_name(info.si_code), info.si_pid != getpid());
  say("pending %d", is_pending());
  say_queued(fd);
  return 0;
}
