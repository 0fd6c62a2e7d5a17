// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where the keeper of a process is found, and who may write an image; what is said
// there stands in protocol/control.h.
#pragma once

#include <sys/types.h>

#include <string>
#include <udpcr/udpcr.hpp>

namespace udpcr::keeper {

// A listening socket for `pid`; empty when the name is taken.
UniqueFd listen_for_control(pid_t pid);

// Whether some keeper listens for `pid`.
bool has_keeper(pid_t pid);
// Its process id; 0: none, or one that is not seen from here.
pid_t keeper_of(pid_t pid);

// Two programs must not write one image: the second would overwrite what the
// first has saved.  Holding the result is the right to write image `name` in
// the open folder `folder`.  Empty when another keeper holds it; `holder` is
// then its process id, 0 when unknown.
UniqueFd claim_image(int folder, const std::string& name, pid_t& holder);

// For the tool: a connection to the keeper of `pid`.  Throws Error when there
// is none, or when the name is held by a user who is neither root, nor us, nor
// the owner of the process.
UniqueFd connect_control(pid_t pid);

}  // namespace udpcr::keeper
