// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The system calls that a keeper may still make (seccomp(2)).
#pragma once

namespace udpcr::keeper::monitor {

// From now on everything else fails with EPERM; nothing is executed any more.  Both
// need no_new_privs.  Throw Error; where the kernel or a container forbids seccomp
// they do nothing, and `false` says so.
bool confine_keeper();
bool confine_monitor();

}  // namespace udpcr::keeper::monitor
