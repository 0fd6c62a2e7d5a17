// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Calls by which a program gives something up: the keeper starts before, with
// the root folder, the user and the limits that the program was started with.
#include <grp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "real.h"
#include "shim.h"

namespace udpcr {

namespace {

void before_giving_up() {
  if (shim.active.load(std::memory_order_relaxed) && in_own_process()) ensure_keeper();
}

bool limits_the_keeper(int resource) {
  return resource == RLIMIT_NPROC || resource == RLIMIT_NOFILE || resource == RLIMIT_FSIZE;
}

}  // namespace

#define UDPCR_GIVING_UP(name, parameters, arguments) \
  UDPCR_EXPORT int name parameters noexcept {        \
    before_giving_up();                              \
    return real().name arguments;                    \
  }
UDPCR_GIVING_UP(chroot, (const char* path), (path))
UDPCR_GIVING_UP(setuid, (uid_t id), (id))
UDPCR_GIVING_UP(seteuid, (uid_t id), (id))
UDPCR_GIVING_UP(setreuid, (uid_t id, uid_t effective), (id, effective))
UDPCR_GIVING_UP(setresuid, (uid_t id, uid_t effective, uid_t saved), (id, effective, saved))
UDPCR_GIVING_UP(setgid, (gid_t id), (id))
UDPCR_GIVING_UP(setegid, (gid_t id), (id))
UDPCR_GIVING_UP(setregid, (gid_t id, gid_t effective), (id, effective))
UDPCR_GIVING_UP(setresgid, (gid_t id, gid_t effective, gid_t saved), (id, effective, saved))
UDPCR_GIVING_UP(capset, (void* header, const void* data), (header, data))
UDPCR_GIVING_UP(unshare, (int flags), (flags))
#undef UDPCR_GIVING_UP

UDPCR_EXPORT int prctl(int option, ...) noexcept {
  va_list list;
  va_start(list, option);
  unsigned long arguments[4];
  for (unsigned long& argument : arguments) argument = va_arg(list, unsigned long);
  va_end(list);
  if (option == PR_SET_SECCOMP || option == PR_SET_NO_NEW_PRIVS || option == PR_CAPBSET_DROP) {
    before_giving_up();
  }
  return real().prctl(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}

#define UDPCR_LIMIT(name, parameters, arguments, given)             \
  UDPCR_EXPORT int name parameters noexcept {                       \
    if ((given) && limits_the_keeper(resource)) before_giving_up(); \
    return real().name arguments;                                   \
  }
UDPCR_LIMIT(setrlimit, (__rlimit_resource_t resource, const rlimit* limit),
            (static_cast<int>(resource), limit), true)
UDPCR_LIMIT(setrlimit64, (__rlimit_resource_t resource, const rlimit64* limit),
            (static_cast<int>(resource), reinterpret_cast<const rlimit*>(limit)), true)
UDPCR_LIMIT(prlimit, (pid_t pid, __rlimit_resource resource, const rlimit* limit, rlimit* old),
            (pid, static_cast<int>(resource), limit, old), limit != nullptr)
UDPCR_LIMIT(prlimit64,
            (pid_t pid, __rlimit_resource resource, const rlimit64* limit, rlimit64* old),
            (pid, static_cast<int>(resource), reinterpret_cast<const rlimit*>(limit),
             reinterpret_cast<rlimit*>(old)),
            limit != nullptr)
#undef UDPCR_LIMIT

}  // namespace udpcr
