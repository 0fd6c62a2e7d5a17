// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The fds that the shim itself holds: the channel to the keeper, and the log
// file.  They live at the top of the fd table, and the program can neither
// close nor overwrite them.
#pragma once

namespace udpcr::own_fds {

// Moves `fd` to a high number, close-on-exec; returns it, or `fd` itself where
// there is no room above.
int move_up(int fd);

bool is_ours(int fd);
// The program wants the number `fd` for itself: move ours away from it.
void make_way(int fd);
// The lowest of ours that is >= `first`; -1: none.
int next_from(unsigned first);

}  // namespace udpcr::own_fds
