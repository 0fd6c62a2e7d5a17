// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: sandboxed execve|netlink [PROGRAM]
//
// Forbids a call in a way that no other library sees, as a unit or AppArmor
// would have; then it becomes PROGRAM, or makes its UDP socket.
#include "transparency.h"

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ONLY(value, others) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, others)
#define RETURN(verdict) BPF_STMT(BPF_RET | BPF_K, verdict)

int main(int count, char** arguments) {
  MUST(count >= 2);
  struct sock_filter no_execve[] = {LOAD(nr), ONLY(SYS_execve, 1),
                                    RETURN(SECCOMP_RET_ERRNO | EPERM), RETURN(SECCOMP_RET_ALLOW)};
  struct sock_filter no_netlink[] = {LOAD(nr),
                                     ONLY(SYS_socket, 3),
                                     LOAD(args[0]),
                                     ONLY(AF_NETLINK, 1),
                                     RETURN(SECCOMP_RET_ERRNO | EPERM),
                                     RETURN(SECCOMP_RET_ALLOW)};
  const int exec = strcmp(arguments[1], "execve") == 0;
  const struct sock_fprog program = {exec ? 4 : 6, exec ? no_execve : no_netlink};
  void* const libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  MUST(libc != NULL);
  int (*const plain_prctl)(int, ...) = (int (*)(int, ...))dlsym(libc, "prctl");
  MUST(plain_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  MUST(plain_prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
  if (count > 2) {
    execv(arguments[2], arguments + 2);
    MUST(!"execv");
  }
  return serve(udp_socket(5300));
}
