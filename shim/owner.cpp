// SPDX-License-Identifier: LGPL-2.1-or-later
#include "owner.h"

#include <string.h>

#include "log.h"
#include "sys.h"

namespace udpcr {

namespace {

void say(int fd, const char* what, int number, const char* why) {
  Line line;
  line << "not restored: fd " << fd << ": owner: " << what << number << ' ' << why
       << "; let the program call fcntl(F_SETOWN) again";
  log_line(LogLevel::warn, line);
}

}  // namespace

void set_owner(int restored, int fd, const wire::SocketOwner& owner) {
  if (owner.pid == 0) return;
  const KeepErrno keep;
  f_owner_ex who{static_cast<__pid_type>(owner.type), owner.pid};
  if (owner.pid == wire::kOwnerSelf) {
    who.pid = sys::getpid();
    // It was a group that a process of the program led.
    if (owner.type == F_OWNER_PGRP && syscall(SYS_getpgid, 0) != who.pid) {
      return say(fd, "the program's own process group was signalled, and process ", who.pid,
                 "leads none");
    }
  }
  if (sys::fcntl(restored, F_SETOWN_EX, reinterpret_cast<long>(&who)) != 0) {
    const char* const kind = owner.type == F_OWNER_PGRP ? "process group " : "process ";
    return say(fd, kind, who.pid, strerrordesc_np(errno));
  }
  if (owner.signal > 0 && sys::fcntl(restored, F_SETSIG, owner.signal) != 0) {
    say(fd, "signal ", owner.signal, strerrordesc_np(errno));
  }
}

}  // namespace udpcr
