// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fds copied, marked and closed in every way that the C library has; at the
// end one bound socket is left, at a number of the program's choice.
#include "transparency.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PLACE 40

// The lowest free number, as the next open() would get it.
static void say_next(const char* when) {
  const int fd = open("/dev/null", O_RDONLY);
  say("next fd %s: %d", when, fd);
  close(fd);
}

static void copies(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  report("socket", fd);
  say_next("after the first socket");
  report("dup", dup(fd));
  report("dup2", dup2(fd, 30));
  report("dup2 to itself", dup2(30, 30));
  report("dup2 of none", dup2(29, 29));
  report("dup3 to itself", dup3(30, 30, 0));
  report("dup3 of none to itself", dup3(29, 29, 0));
  report("dup3", dup3(fd, 31, O_CLOEXEC));
  report("dup3 with a wrong flag", dup3(fd, 31, O_NONBLOCK));
  report("dup3 over another", dup3(fd, 31, 0));
  report("F_DUPFD", fcntl(fd, F_DUPFD, 33));
  report("F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 33));
  report("F_DUPFD of -1", fcntl(fd, F_DUPFD, -1));
  report("F_DUPFD beyond all", fcntl(fd, F_DUPFD, 1 << 30));
  report("F_DUPFD_QUERY", fcntl(fd, 1027, 30));
  report("F_DUPFD_QUERY of another", fcntl(fd, 1027, 0));
  for (int number = 30; number < 36; ++number) report("F_GETFD", fcntl(number, F_GETFD));
  report("F_SETFD", fcntl(31, F_SETFD, FD_CLOEXEC));
  report("F_GETFD", fcntl(31, F_GETFD));
  report("close", close(30));
  report("close again", close(30));
  report("close of -1", close(-1));
  report("range from above", close_range(32, 31, 0));
  report("range with a wrong flag", close_range(32, 33, 1 << 10));
  report("range", close_range(30, 33, 0));
  report("range marked", close_range(34, 34, CLOSE_RANGE_CLOEXEC));
  report("range of its own", close_range(34, 34, CLOSE_RANGE_UNSHARE));
  say_next("in between");
  FILE* const file = fdopen(fd, "r+");
  MUST(file != NULL);
  report("fclose", fclose(file));
  report("close of a closed file", close(fd));
  closefrom(3);
  say_next("after closefrom");
}

// Below the limit everything is the program's.
static void all_of_few(void) {
  struct rlimit limit;
  MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const struct rlimit before = limit;
  limit.rlim_cur = 64;
  report("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
  int count = 0;
  int last = -1;
  for (int fd; (fd = socket(AF_INET, SOCK_DGRAM, 0)) >= 0; last = fd) ++count;
  report("socket beyond the limit", socket(AF_INET, SOCK_DGRAM, 0));
  say("%d sockets, the last is %d", count, last);
  report("dup2 beyond the limit", dup2(3, 64));
  report("range to the end", close_range(3, ~0U, 0));
  limit.rlim_cur = 256;
  report("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
  for (count = 0; (last = dup(0)) >= 0;) ++count;
  say("%d copies", count);
  closefrom(3);
  MUST(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

// What programs do that want none of their parent's.
static void close_all(void) {
  for (int fd = 3; fd < 4096; ++fd) close(fd);
  DIR* const folder = opendir("/proc/self/fd");
  MUST(folder != NULL);
  for (const struct dirent* entry; (entry = readdir(folder)) != NULL;) {
    const int fd = atoi(entry->d_name);
    if (fd > 2 && fd != dirfd(folder)) close(fd);
  }
  closedir(folder);
  say_next("after all are closed");
  report("dup2 to a high number", dup2(0, 1008));
  report("dup2 to a high number", dup2(0, 1023));
  report("F_DUPFD to a high number", fcntl(0, F_DUPFD, 1009));
  report("F_DUPFD to a high number", fcntl(0, F_DUPFD, 1010));
  closefrom(3);
}

static void selected(void) {
  fd_set readable;
  struct timeval none = {0, 0};
  const int fd = fcntl(udp_socket(0), F_DUPFD, FD_SETSIZE - 1);
  FD_ZERO(&readable);
  report("the last fd for select", fd);
  if (fd == FD_SETSIZE - 1) FD_SET(fd, &readable);
  report("select", select(FD_SETSIZE, &readable, NULL, NULL, &none));
  close(fd);
  close(3);
}

int main(void) {
  copies();
  all_of_few();
  close_all();
  selected();
  // By another number than it was bound by, which is closed in a way that
  // nobody sees.
  const int fd = udp_socket(5300);
  report("dup2", dup2(fd, PLACE));
  report("raw close", syscall(SYS_close, fd));
  const int next = open("/dev/null", O_RDONLY);
  say("its old number is free again: %d", next == fd);
  say_next("at the end");
  return serve(PLACE);
}
