// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the programs of this folder share.  Each uses the calls of its subject
// directly and says what it sees, a line each; then it serves, so that the
// test can queue datagrams, take a checkpoint and start it again.  What it says
// must not depend on whether udpcr is there, nor on whether it was restarted:
// no process ids, no times.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MUST(holds)                                                                      \
  do {                                                                                   \
    if (!(holds)) {                                                                      \
      dprintf(1, "%s:%d: %s: %s\n", __FILE__, __LINE__, #holds, strerrorname_np(errno)); \
      _exit(1);                                                                          \
    }                                                                                    \
  } while (0)

// A line on stdout, in one write.
__attribute__((format(printf, 1, 2))) static inline void say(const char* format, ...) {
  char line[1024];
  va_list rest;
  va_start(rest, format);
  int size = vsnprintf(line, sizeof line - 1, format, rest);
  va_end(rest);
  if (size > (int)sizeof line - 2) size = sizeof line - 2;
  line[size++] = '\n';
  if (write(1, line, (size_t)size) != size) _exit(1);
}

// "NAME: RESULT" or "NAME: RESULT ERRNO".
static inline long report(const char* name, long result) {
  if (result < 0) {
    say("%s: %ld %s", name, result, strerrorname_np(errno));
  } else {
    say("%s: %ld", name, result);
  }
  return result;
}

static inline struct sockaddr_in loopback(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static inline int bind_loopback(int fd, int port) {
  const struct sockaddr_in address = loopback(port);
  return bind(fd, (const struct sockaddr*)&address, sizeof address);
}

// A UDP socket bound to 127.0.0.1:`port`.
static inline int udp_socket(int port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  MUST(fd >= 0);
  MUST(bind_loopback(fd, port) == 0);
  return fd;
}

// A message of one letter with one fd (SCM_RIGHTS).  Its parts refer to each other.
struct fd_message {
  struct msghdr header;
  struct iovec piece;
  char letter;
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
};

static inline void hold_fd(struct fd_message* message, int fd) {
  *message = (struct fd_message){.letter = 'x'};
  message->piece = (struct iovec){&message->letter, 1};
  message->header.msg_iov = &message->piece;
  message->header.msg_iovlen = 1;
  message->header.msg_control = &message->control;
  message->header.msg_controllen = sizeof message->control;
  message->control.header.cmsg_level = SOL_SOCKET;
  message->control.header.cmsg_type = SCM_RIGHTS;
  message->control.header.cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(&message->control.header), &fd, sizeof fd);
}

// Of one that was received; -1: none.
static inline int held_fd(struct fd_message* message) {
  const struct cmsghdr* const header = CMSG_FIRSTHDR(&message->header);
  int fd = -1;
  if (header != NULL) memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

// "ready", then waits for a line of the test.  It holds through EINTR.
static inline void await_test(void) {
  char letter = 0;
  say("ready");
  while (letter != '\n') {
    const ssize_t size = read(0, &letter, 1);
    if (size == 0) _exit(1);
    MUST(size == 1 || errno == EINTR);
  }
}

// Says what is queued on `fd`, in order.
static inline void say_queued(int fd) {
  char payload[512];
  struct sockaddr_in sender = {0};
  for (;;) {
    socklen_t length = sizeof sender;
    const ssize_t size =
        recvfrom(fd, payload, sizeof payload - 1, MSG_DONTWAIT, (struct sockaddr*)&sender, &length);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) break;
    payload[size] = '\0';
    say("%s:%d says %s", inet_ntoa(sender.sin_addr), ntohs(sender.sin_port), payload);
  }
}

// Most programs end with it.
static inline int serve(int fd) {
  await_test();
  say_queued(fd);
  say("end");
  return 0;
}
