/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: restarted PORT HOW
 *
 * Answers on PORT and PORT + 1 once ./gate exists.  HOW: "plain"; "daemon": it
 * goes into the background; "nobody": it gives up root when it has bound.  With a
 * file ./broken it ends with status 3 before it binds, with ./dies with 4 when it
 * has bound; with ./one it leaves PORT + 1 alone.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void die(const char* what) {
  perror(what);
  exit(1);
}

static int server(int port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (fd < 0 || bind(fd, (struct sockaddr*)&name, sizeof name) != 0) die("bind");
  return fd;
}

static void answer(int fd) {
  char payload[2000] = "reply to ";
  struct sockaddr_in sender;
  socklen_t size = sizeof sender;
  const ssize_t got =
      recvfrom(fd, payload + 9, sizeof payload - 10, 0, (struct sockaddr*)&sender, &size);
  if (got < 0) die("recvfrom");
  payload[9 + got] = '\0';
  printf("read %s %d %s\n", inet_ntoa(sender.sin_addr), ntohs(sender.sin_port), payload + 9);
  fflush(stdout);
  if (sendto(fd, payload, (size_t)(9 + got), 0, (struct sockaddr*)&sender, size) < 0) die("sendto");
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  if (access("broken", F_OK) == 0) return 3;
  const int port = atoi(argv[1]);
  struct pollfd fds[2] = {{server(port), POLLIN, 0}, {-1, POLLIN, 0}};
  if (access("one", F_OK) != 0) fds[1].fd = server(port + 1);
  if (access("dies", F_OK) == 0) return 4;
  if (strcmp(argv[2], "daemon") == 0 && daemon(1, 1) != 0) die("daemon");
  if (strcmp(argv[2], "nobody") == 0 &&
      (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)) {
    die("setuid");
  }
  char folder[4096];
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  const mode_t mask = umask(0);
  umask(mask);
  const char* const word = getenv("WORD");
  printf("ready %d: %s %03o %lu %lu %s\n", getpid(), getcwd(folder, sizeof folder), (unsigned)mask,
         (unsigned long)files.rlim_cur, (unsigned long)files.rlim_max, word != NULL ? word : "-");
  fflush(stdout);
  while (access("gate", F_OK) != 0) {
    const struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
  }
  for (;;) {
    if (poll(fds, 2, -1) < 0) continue;
    for (int i = 0; i < 2; ++i) {
      if ((fds[i].revents & POLLIN) != 0) answer(fds[i].fd);
    }
  }
}
