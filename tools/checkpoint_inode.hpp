// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

namespace udpcr {

// Writes the socket with this inode into `image` (empty: ./socket-N.udpcr) and
// says what is not kept.  Returns the exit status of `udpcr checkpoint`; throws
// Error when there is no image.
int checkpoint_inode(std::uint64_t inode, std::string image);

}  // namespace udpcr
