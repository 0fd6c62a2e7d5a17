// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace udpcr {

// The security module's label of a socket; empty when it has none.
// Throws Error when it could not be asked for.
std::string read_label(int fd);

}  // namespace udpcr
