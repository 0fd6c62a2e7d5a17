// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Children of the program that nobody has told of.
#pragma once

#include <list>

#include "process.hpp"

namespace udpcr::keeper {

// Children of `processes` that have a copy of the program's memory and no
// channel: raw system calls made them.
std::vector<pid_t> unknown_children(const std::list<Process>& processes);

// Names the child, unless it is known to have no UDP socket.  True: it has one.
bool name_unknown_child(pid_t child, std::vector<Loss>& losses);

}  // namespace udpcr::keeper
