// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: listening [strict]
//
// A socket-activated program, sd_listen_fds(3) by hand.  Without activation it
// binds for itself, but for `strict`.
#include "transparency.h"

#include <fcntl.h>

static int number_in(const char* variable) {
  const char* const value = getenv(variable);
  return value == NULL ? -1 : atoi(value);
}

static int listen_fds(void) {
  const int count = number_in("LISTEN_FDS");
  if (number_in("LISTEN_PID") != getpid()) return 0;
  for (int fd = 3; fd < 3 + count; ++fd) MUST(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
  return count;
}

int main(int count, char** arguments, char** environment) {
  const int strict = count > 1 && strcmp(arguments[1], "strict") == 0;
  const char* const names = getenv("LISTEN_FDNAMES");
  int handed = listen_fds();
  int named = 0;
  if (strict) {
    say("handed down: %d", handed);
    say("names %s", names == NULL ? "none" : names);
    for (char** entry = environment; *entry != NULL; ++entry) {
      named += strncmp(*entry, "LISTEN_", 7) == 0;
    }
    say("entries: %d", named);
    MUST(handed > 0);
  } else if (handed == 0) {
    for (int fd = 3; fd < 5; ++fd) MUST(udp_socket(5300 + fd - 3) == fd);
    handed = 2;
  }
  MUST(setenv("LISTEN_FDS", "done", 1) == 0 && strcmp(getenv("LISTEN_FDS"), "done") == 0);
  MUST(unsetenv("LISTEN_FDS") == 0 && getenv("LISTEN_FDS") == NULL);
  for (int fd = 3; fd < 3 + handed; ++fd) {
    struct sockaddr_in name = {0};
    socklen_t size = sizeof name;
    MUST(getsockname(fd, (struct sockaddr*)&name, &size) == 0);
    say("fd %d: port %d", fd, ntohs(name.sin_port));
  }
  await_test();
  for (int fd = 3; fd < 3 + handed; ++fd) {
    say("fd %d:", fd);
    say_queued(fd);
  }
  say("end");
  return 0;
}
