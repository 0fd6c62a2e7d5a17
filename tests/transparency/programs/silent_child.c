// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A child that nobody has told udpcr of, and that has a socket to itself.
#include "transparency.h"

#include <signal.h>
#include <sys/syscall.h>

int main(void) {
  const int fd = udp_socket(5300);
  const pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  MUST(child >= 0);
  if (child == 0) {
    syscall(SYS_close, fd);
    syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    for (;;) pause();
  }
  say("child %d", child);
  say("ready");
  for (;;) pause();
}
