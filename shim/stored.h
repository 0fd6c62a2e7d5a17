// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sockets of the program's last start that a service manager has kept in its fd
// store (sd_notify(3), FDSTORE=1).  It hands them down like those of socket
// activation; they are none, and the program does not see them.
#pragma once

#include <stdint.h>

#include "settings.h"

namespace udpcr::stored {

// In the constructor, once it is known who the program is.  Takes them out of
// LISTEN_FDS and LISTEN_FDNAMES; the others move up, as sd_listen_fds(3) wants
// no gaps.  How many there are.
uint32_t take(const Settings& settings);
// One of them.
bool has(int fd);
// To the keeper, before hello.  0 or errno.  They are closed here.
int send();
// There is no keeper.
void close_all();

}  // namespace udpcr::stored
