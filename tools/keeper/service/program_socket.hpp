// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Of a session of a keeper service: sockets that the program makes, so that
// user, cgroup, label and network namespace are the program's.
#pragma once

#include "keeper/process.hpp"

namespace udpcr::keeper {

// Of a program that waits for `ready`.  None, with errno: ETIMEDOUT when it does
// not answer.
UniqueFd socket_of_program(Process& process, int family, int protocol);

}  // namespace udpcr::keeper
