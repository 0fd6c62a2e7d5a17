// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// Gives `fd`, bound and connected as it was and with its options, the datagram
// of state.send_queue to hold back: whole, or not at all, which appends a Loss.
void restore_cork(int fd, const SocketState& state, std::vector<Loss>& losses);

}  // namespace udpcr
