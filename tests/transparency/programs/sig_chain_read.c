// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Reads a signal that comes from outside from a signalfd.
#include "signals.h"

#include <sys/signalfd.h>

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  const sigset_t set = only_the_signal();
  struct signalfd_siginfo one = {0};
  block_it();
  const int signals = signalfd(-1, &set, 0);
  await_test();
  report("read", read(signals, &one, sizeof one));
  say("the signal %d, %s, from outside %d", (int)one.ssi_signo == the_signal,
      code_name(one.ssi_code), (pid_t)one.ssi_pid != getpid());
  say("pending %d", is_pending());
  say_queued(fd);
  return 0;
}
