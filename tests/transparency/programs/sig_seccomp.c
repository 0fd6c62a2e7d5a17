// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A filter that ends the program at any call but the few that the strictest
// filter of a known daemon (chronyd -F 1) has and that it needs itself.
#include "signals.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define ALLOW(call)                                       \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      ALLOW(sendmsg),
      ALLOW(recvmsg),
#ifdef __NR_poll
      ALLOW(poll),
#else
      ALLOW(ppoll),
#endif
      ALLOW(futex),
      ALLOW(getpid),
      ALLOW(fstat),
      ALLOW(clock_gettime),
      ALLOW(write),
      ALLOW(read),
      ALLOW(exit_group),
      ALLOW(rt_sigreturn),
      ALLOW(recvfrom),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
  _exit(serve(fd));
}
