// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Has a handler for a signal that comes from outside.
#include "signals.h"

static void note(int signal, siginfo_t* info, void* context) {
  (void)context;
  say("handler: the signal %d, %s, from outside %d", signal == the_signal, code_name(info->si_code),
      info->si_pid != getpid());
}

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  set_handler(SA_RESTART, note);
  return serve(fd);
}
