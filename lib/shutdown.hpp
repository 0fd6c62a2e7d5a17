// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// include/net/sock.h; as UDPCR_A_SHUTDOWN.
constexpr unsigned kRcvShutdown = 1;
constexpr unsigned kSendShutdown = 2;

// Shuts the halves down that `state` names.  What is queued can still be read.
void shut_down(int fd, unsigned state, std::vector<Loss>& losses);

}  // namespace udpcr
