// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Interface indices differ from machine to machine and from boot to boot: the
// record names the interface of each one that it or a queue has, and a restore
// takes today's index of that name.
#pragma once

#include <optional>
#include <udpcr/udpcr.hpp>

namespace udpcr {

// Fills SocketRecord::interfaces.  The names are those of the network namespace
// that the socket `fd` is in.
void name_interfaces(int fd, SocketState& state);

// The state with the indices of the caller's network namespace; empty when they
// are the same, or when the record names none.  What needs an interface that is
// not here is left out and stands in `losses`; throws Error when that is the
// socket's own address or its peer's.
std::optional<SocketState> with_indices_of_here(const SocketState& state,
                                                std::vector<Loss>& losses);

}  // namespace udpcr
