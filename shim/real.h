// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The C library's own functions behind the names that we interpose, bound once.
#pragma once

#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace udpcr {

// X(result, name, parameter types)
#define UDPCR_REAL_FUNCTIONS(X)                                        \
  X(int, socket, (int, int, int))                                      \
  X(int, bind, (int, const sockaddr*, socklen_t))                      \
  X(int, connect, (int, const sockaddr*, socklen_t))                   \
  X(int, setsockopt, (int, int, int, const void*, socklen_t))          \
  X(int, close, (int))                                                 \
  X(int, close_range, (unsigned, unsigned, int))                       \
  X(void, closefrom, (int))                                            \
  X(int, dup, (int))                                                   \
  X(int, dup2, (int, int))                                             \
  X(int, dup3, (int, int, int))                                        \
  X(int, fcntl, (int, int, ...))                                       \
  X(int, fcntl64, (int, int, ...))                                     \
  X(int, epoll_ctl, (int, int, int, epoll_event*))                     \
  X(int, sigaction, (int, const struct sigaction*, struct sigaction*)) \
  X(sighandler_t, signal, (int, sighandler_t))                         \
  X(sighandler_t, bsd_signal, (int, sighandler_t))                     \
  X(sighandler_t, ssignal, (int, sighandler_t))                        \
  X(sighandler_t, sysv_signal, (int, sighandler_t))                    \
  X(sighandler_t, __sysv_signal, (int, sighandler_t))                  \
  X(sighandler_t, sigset, (int, sighandler_t))                         \
  X(int, sigignore, (int))                                             \
  X(int, sighold, (int))                                               \
  X(int, sigprocmask, (int, const sigset_t*, sigset_t*))               \
  X(int, pthread_sigmask, (int, const sigset_t*, sigset_t*))           \
  X(int, sigblock, (int))                                              \
  X(int, sigsetmask, (int))                                            \
  X(int, chroot, (const char*))                                        \
  X(int, setuid, (uid_t))                                              \
  X(int, seteuid, (uid_t))                                             \
  X(int, setreuid, (uid_t, uid_t))                                     \
  X(int, setresuid, (uid_t, uid_t, uid_t))                             \
  X(int, setgid, (gid_t))                                              \
  X(int, setegid, (gid_t))                                             \
  X(int, setregid, (gid_t, gid_t))                                     \
  X(int, setresgid, (gid_t, gid_t, gid_t))                             \
  X(int, capset, (void*, const void*))                                 \
  X(int, prctl, (int, ...))                                            \
  X(int, setrlimit, (int, const rlimit*))                              \
  X(int, setrlimit64, (int, const rlimit*))                            \
  X(int, prlimit, (pid_t, int, const rlimit*, rlimit*))                \
  X(int, prlimit64, (pid_t, int, const rlimit*, rlimit*))              \
  X(int, unshare, (int))

struct RealFunctions {
#define UDPCR_DECLARE(result, name, parameters) result(*name) parameters;
  UDPCR_REAL_FUNCTIONS(UDPCR_DECLARE)
#undef UDPCR_DECLARE
};

// Never fails: a name that this C library lacks is answered with ENOSYS.
const RealFunctions& real();

}  // namespace udpcr
