// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the handlers of the program cannot send: sockets at fds beyond those
// that they looked through, and those of children that they do not know of.
#pragma once

#include <list>

#include "process.hpp"

namespace udpcr::keeper {

// The name of the loss of a socket that no process of the tree got by a call
// that is seen: its bind in the next run will not be seen either.
constexpr char kUnseenLoss[] = "unseen";
bool has_unseen(const std::vector<Loss>& losses);

// Adds to `process.sent` the UDP sockets from fd `process.scanned` on.  What
// cannot be had is named in `losses`.
void take_unseen(Process& process, std::vector<Loss>& losses);

// Children of `processes` that have a copy of the program's memory and no
// channel: raw system calls made them.
std::vector<pid_t> unknown_children(const std::list<Process>& processes);

// Names the child, unless it is known to have no UDP socket.  True: it has one.
bool name_unknown_child(pid_t child, std::vector<Loss>& losses);

}  // namespace udpcr::keeper
