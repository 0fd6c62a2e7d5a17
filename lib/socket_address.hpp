// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where a socket is bound and connected.  Each throws Error when the kernel
// does not tell.
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

Address local_address(int fd);

// Empty: the socket is not connected.
std::optional<Address> peer_address(int fd);

// Empty: the socket is bound to no device, or to one that is gone.
std::string bound_device(int fd);

}  // namespace udpcr
