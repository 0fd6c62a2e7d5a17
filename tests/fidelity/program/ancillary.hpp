// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What recvmsg tells beside the payload, in words.
#pragma once

#include "network.hpp"

namespace fidelity {

void read_ancillary(const cmsghdr& cmsg, Got& got);

}  // namespace fidelity
