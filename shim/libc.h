// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The real functions behind the interposed ones: the next definition after
// ours (libc's, or that of another preloaded library or a sanitizer).
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

extern "C" {
// In libc, but in none of its headers.
int capset(void* header, const void* data) noexcept;
int pivot_root(const char* root, const char* old) noexcept;
__sighandler_t bsd_signal(int signal, __sighandler_t handler) noexcept;
}

// Every function that we interpose and pass on.
#define UDPCR_INTERPOSED(X) \
  X(bind)                   \
  X(bsd_signal)             \
  X(capset)                 \
  X(chroot)                 \
  X(close)                  \
  X(close_range)            \
  X(closefrom)              \
  X(connect)                \
  X(dup)                    \
  X(dup2)                   \
  X(dup3)                   \
  X(epoll_ctl)              \
  X(fcntl)                  \
  X(fcntl64)                \
  X(initgroups)             \
  X(pivot_root)             \
  X(prctl)                  \
  X(prlimit)                \
  X(prlimit64)              \
  X(pthread_sigmask)        \
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
  X(signal)                 \
  X(sigprocmask)            \
  X(sigrelse)               \
  X(sigset)                 \
  X(sigsuspend)             \
  X(socket)                 \
  X(ssignal)                \
  X(syscall)                \
  X(sysv_signal)            \
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
