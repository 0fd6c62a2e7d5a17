// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// F_GETOWN_EX and F_GETSIG of the open file.  Throws Error.
FileOwner read_owner(int fd);

// Only the signal: the owner is a process of the program that gets the socket.
void set_owner_signal(int fd, const FileOwner& owner, std::vector<Loss>& losses);

}  // namespace udpcr
