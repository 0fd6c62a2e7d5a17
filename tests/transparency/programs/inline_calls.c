// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A socket that is opened, bound and read by system calls of its own, as Go
// and others do: nobody can stand before them.
#include <sys/syscall.h>

#include "transparency.h"

static long direct(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result = number;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
#else
#error "no system call is written for this machine"
#endif
}

int main(int argc, char** argv) {
  // A second socket, which the C library opens: with it there is a keeper.
  const int seen = argc > 1 && strcmp(argv[1], "both") == 0 ? udp_socket(5301) : -1;
  const struct sockaddr_in address = loopback(5300);
  const long fd = direct(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0, 0, 0);
  say("socket: %ld", fd);
  say("bind: %ld", direct(SYS_bind, fd, (long)&address, sizeof address, 0, 0, 0));
  await_test();
  char payload[512];
  struct sockaddr_in sender = {0};
  for (;;) {
    int length = sizeof sender;
    const long size = direct(SYS_recvfrom, fd, (long)payload, sizeof payload - 1, MSG_DONTWAIT,
                             (long)&sender, (long)&length);
    if (size == -EINTR) continue;
    if (size < 0) break;
    payload[size] = '\0';
    say("%s:%d says %s", inet_ntoa(sender.sin_addr), ntohs(sender.sin_port), payload);
  }
  if (seen >= 0) say_queued(seen);
  say("close: %ld", direct(SYS_close, fd, 0, 0, 0, 0, 0));
  say("end");
  return 0;
}
