// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Whom a restored socket signals (F_SETOWN_EX, F_SETSIG).  The kernel signals
// with the rights of whoever has set it: so the program does, with its own.
#pragma once

#include "wire.h"

namespace udpcr {

// Sets `owner` at the open file of `restored`.  What fails is a line, which names
// the socket by its number `fd` in the program.
void set_owner(int restored, int fd, const wire::SocketOwner& owner);

}  // namespace udpcr
