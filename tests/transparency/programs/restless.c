// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Children come and go all the time; each opens a socket of its own.  A line
// on stdin: from now on one stays.
#include "transparency.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

int main(void) {
  struct pollfd order = {0, POLLIN, 0};
  char line[16];
  int stays = 0;
  int alive = 0;
  udp_socket(5300);
  say("ready");
  for (int number = 0;; ++number) {
    const pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
      udp_socket(0);
      if (stays) {
        say("child %d", getpid());
        for (;;) pause();
      }
      // Some end at once, some in the middle of what others do.
      usleep((useconds_t)(number % 7 * 1000));
      _exit(0);
    }
    if (stays) break;
    if (++alive < 5) continue;
    if (poll(&order, 1, 0) == 1) stays = read(0, line, sizeof line) > 0;
    // The one that stays is alone.
    do {
      while (waitpid(-1, NULL, 0) < 0) MUST(errno == EINTR);
    } while (--alive > 0 && stays);
  }
  for (;;) {
    if (waitpid(-1, NULL, 0) < 0) MUST(errno == EINTR || errno == ECHILD);
    usleep(10000);
  }
}
