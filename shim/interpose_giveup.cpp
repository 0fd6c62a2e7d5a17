// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Calls by which a program gives up what its keeper needs (privileges, the
// root folder, the right to start processes): the keeper is started before.
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "interpose.h"
#include "libc.h"
#include "own_fds.h"
#include "park.h"
#include "session.h"
#include "sys.h"

using udpcr::libc;
using udpcr::session::ensure_keeper;

namespace {

// Below what is in force: raising a limit, as many do, gives nothing up.
bool is_lower(int resource, rlim_t soft, rlim_t hard) {
  if (resource != RLIMIT_NPROC && resource != RLIMIT_NOFILE) return false;
  const udpcr::KeepErrno keep;
  rlimit64 now{};  // the kernel's on every architecture
  if (udpcr::syscall(SYS_prlimit64, 0, resource, nullptr, &now) != 0) return true;
  return soft < now.rlim_cur || hard < now.rlim_max;
}

template <typename Limit>
void look_at_limit(int resource, const Limit* limit) {
  if (limit != nullptr && is_lower(resource, limit->rlim_cur, limit->rlim_max)) ensure_keeper();
}

template <typename Limit>
void look_at_limit_of(pid_t process, int resource, const Limit* limit) {
  if (process == 0 || process == udpcr::sys::getpid()) look_at_limit(resource, limit);
}

// Ours stand above the limit for fds.
int after_limit(int resource, int result) {
  if (resource == RLIMIT_NOFILE && result == 0) udpcr::own_fds::rise();
  return result;
}

void look_at_option(long option) {
  switch (option) {
    case PR_SET_SECCOMP:
    case PR_SET_NO_NEW_PRIVS:
    case PR_CAPBSET_DROP:
    case PR_SET_SECUREBITS:
      ensure_keeper();
  }
}

// SYS_landlock_restrict_self, since Linux 5.13, of every architecture.
constexpr long kLandlockRestrictSelf = 446;

// Of a program that makes the call by its number (libseccomp, libcap).
void look_at_call(long number, long one, long two, long three) {
  switch (number) {
    case SYS_prctl:
      return look_at_option(one);
    case SYS_seccomp:
      if (one != SECCOMP_GET_ACTION_AVAIL && one != SECCOMP_GET_NOTIF_SIZES) {
        ensure_keeper();
      }
      return;
#ifdef SYS_setrlimit
    case SYS_setrlimit:
      return look_at_limit(static_cast<int>(one), reinterpret_cast<const rlimit*>(two));
#endif
    case SYS_prlimit64:
      return look_at_limit_of(static_cast<pid_t>(one), static_cast<int>(two),
                              reinterpret_cast<const rlimit64*>(three));
    case SYS_capset:
    case SYS_chroot:
    case SYS_pivot_root:
    case SYS_setns:
    case SYS_unshare:
    case SYS_setuid:
    case SYS_setgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_setresuid:
    case SYS_setresgid:
    case SYS_setfsuid:
    case SYS_setfsgid:
    case SYS_setgroups:
    case kLandlockRestrictSelf:
      ensure_keeper();
  }
}

}  // namespace

UDPCR_EXPORT int chroot(const char* path) noexcept {
  ensure_keeper();
  return libc().chroot(path);
}

UDPCR_EXPORT int pivot_root(const char* root, const char* old) noexcept {
  ensure_keeper();
  return libc().pivot_root(root, old);
}

UDPCR_EXPORT int unshare(int flags) noexcept {
  ensure_keeper();
  return libc().unshare(flags);
}

UDPCR_EXPORT int setns(int fd, int kind) noexcept {
  ensure_keeper();
  return libc().setns(fd, kind);
}

UDPCR_EXPORT int setuid(uid_t user) noexcept {
  ensure_keeper();
  return libc().setuid(user);
}

UDPCR_EXPORT int seteuid(uid_t user) noexcept {
  ensure_keeper();
  return libc().seteuid(user);
}

UDPCR_EXPORT int setreuid(uid_t real, uid_t effective) noexcept {
  ensure_keeper();
  return libc().setreuid(real, effective);
}

UDPCR_EXPORT int setresuid(uid_t real, uid_t effective, uid_t saved) noexcept {
  ensure_keeper();
  return libc().setresuid(real, effective, saved);
}

UDPCR_EXPORT int setgid(gid_t group) noexcept {
  ensure_keeper();
  return libc().setgid(group);
}

UDPCR_EXPORT int setegid(gid_t group) noexcept {
  ensure_keeper();
  return libc().setegid(group);
}

UDPCR_EXPORT int setregid(gid_t real, gid_t effective) noexcept {
  ensure_keeper();
  return libc().setregid(real, effective);
}

UDPCR_EXPORT int setresgid(gid_t real, gid_t effective, gid_t saved) noexcept {
  ensure_keeper();
  return libc().setresgid(real, effective, saved);
}

UDPCR_EXPORT int setfsuid(uid_t user) noexcept {
  ensure_keeper();
  return libc().setfsuid(user);
}

UDPCR_EXPORT int setfsgid(gid_t group) noexcept {
  ensure_keeper();
  return libc().setfsgid(group);
}

UDPCR_EXPORT int setgroups(size_t count, const gid_t* groups) noexcept {
  ensure_keeper();
  return libc().setgroups(count, groups);
}

UDPCR_EXPORT int initgroups(const char* user, gid_t group) {
  ensure_keeper();
  return libc().initgroups(user, group);
}

UDPCR_EXPORT int capset(void* header, const void* data) noexcept {
  ensure_keeper();
  return libc().capset(header, data);
}

UDPCR_EXPORT int prctl(int option, ...) noexcept {
  va_list rest;
  va_start(rest, option);
  unsigned long arguments[4];
  for (unsigned long& argument : arguments) argument = va_arg(rest, unsigned long);
  va_end(rest);
  look_at_option(option);
  return libc().prctl(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}

UDPCR_EXPORT int setrlimit(__rlimit_resource_t resource, const rlimit* limit) noexcept {
  look_at_limit(resource, limit);
  return after_limit(resource, libc().setrlimit(resource, limit));
}

UDPCR_EXPORT int setrlimit64(__rlimit_resource_t resource, const rlimit64* limit) noexcept {
  look_at_limit(resource, limit);
  return after_limit(resource, libc().setrlimit64(resource, limit));
}

UDPCR_EXPORT int prlimit(pid_t process, __rlimit_resource resource, const rlimit* limit,
                         rlimit* old) noexcept {
  look_at_limit_of(process, resource, limit);
  return after_limit(resource, libc().prlimit(process, resource, limit, old));
}

UDPCR_EXPORT int prlimit64(pid_t process, __rlimit_resource resource, const rlimit64* limit,
                           rlimit64* old) noexcept {
  look_at_limit_of(process, resource, limit);
  return after_limit(resource, libc().prlimit64(process, resource, limit, old));
}

UDPCR_LOOK udpcr_look_at_call(long number, long one, long two, long three) {
  look_at_call(number, one, two, three);
  if (number == SYS_close && udpcr::park::is_on()) {
    return reinterpret_cast<void*>(udpcr_close_by_number);
  }
  return reinterpret_cast<void*>(libc().syscall);
}

// A clone(2) by its number may return on another stack.
UDPCR_EXPORT_JUMP(syscall, udpcr_look_at_call);
