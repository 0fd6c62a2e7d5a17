// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The real functions behind the interposed ones: the next definition after
// ours (libc's, or that of another preloaded library or a sanitizer).
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

extern "C" {
// In libc, but in none of its headers.
int capset(void* header, const void* data) noexcept;
int pivot_root(const char* root, const char* old) noexcept;
__sighandler_t bsd_signal(int signal, __sighandler_t handler) noexcept;
int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
                size_t size);
[[noreturn]] void __longjmp_chk(jmp_buf buffer, int value) noexcept;
}

// Every function that we interpose and pass on.
#define UDPCR_INTERPOSED(X) \
  X(__longjmp_chk)          \
  X(__ppoll_chk)            \
  X(__sigsetjmp)            \
  X(_longjmp)               \
  X(bind)                   \
  X(bsd_signal)             \
  X(capset)                 \
  X(chroot)                 \
  X(clock_nanosleep)        \
  X(clone)                  \
  X(close)                  \
  X(close_range)            \
  X(closefrom)              \
  X(connect)                \
  X(dup)                    \
  X(dup2)                   \
  X(dup3)                   \
  X(epoll_ctl)              \
  X(epoll_pwait)            \
  X(epoll_pwait2)           \
  X(execv)                  \
  X(execve)                 \
  X(execveat)               \
  X(execvp)                 \
  X(execvpe)                \
  X(fcntl)                  \
  X(fcntl64)                \
  X(fexecve)                \
  X(initgroups)             \
  X(kill)                   \
  X(longjmp)                \
  X(nanosleep)              \
  X(pause)                  \
  X(pivot_root)             \
  X(popen)                  \
  X(posix_spawn)            \
  X(posix_spawnp)           \
  X(ppoll)                  \
  X(prctl)                  \
  X(prlimit)                \
  X(prlimit64)              \
  X(pselect)                \
  X(pthread_create)         \
  X(pthread_kill)           \
  X(pthread_sigmask)        \
  X(pthread_sigqueue)       \
  X(raise)                  \
  X(setegid)                \
  X(seteuid)                \
  X(setfsgid)               \
  X(setfsuid)               \
  X(setgid)                 \
  X(setgroups)              \
  X(setns)                  \
  X(setregid)               \
  X(setresgid)              \
  X(setresuid)              \
  X(setreuid)               \
  X(setrlimit)              \
  X(setrlimit64)            \
  X(setsockopt)             \
  X(setuid)                 \
  X(sigaction)              \
  X(sighold)                \
  X(sigignore)              \
  X(siginterrupt)           \
  X(siglongjmp)             \
  X(signal)                 \
  X(signalfd)               \
  X(sigpending)             \
  X(sigprocmask)            \
  X(sigqueue)               \
  X(sigrelse)               \
  X(sigset)                 \
  X(sigsuspend)             \
  X(sigtimedwait)           \
  X(socket)                 \
  X(ssignal)                \
  X(syscall)                \
  X(system)                 \
  X(sysv_signal)            \
  X(thrd_create)            \
  X(unshare)

namespace udpcr {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
struct Libc {
#define UDPCR_MEMBER(name) decltype(&::name) name;
  UDPCR_INTERPOSED(UDPCR_MEMBER)
#undef UDPCR_MEMBER
  // sigaction as sanitizers do not see it: what we install for ourselves is
  // none of their business.
  decltype(&::sigaction) plain_sigaction;
  decltype(&::_Fork) fork_alone;
};
#pragma GCC diagnostic pop

namespace libc_internal {
extern Libc table;
extern std::atomic<bool> bound;
void bind_table();
}  // namespace libc_internal

inline const Libc& libc() {
  if (!libc_internal::bound.load(std::memory_order_acquire)) libc_internal::bind_table();
  return libc_internal::table;
}

}  // namespace udpcr
