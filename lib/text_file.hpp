// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace udpcr {

// The text of a file in /proc or /sys; empty when it is not there (the process
// has ended, the kernel has no such thing) or is not for us to read.  Throws
// Error when it could not be read.
std::string read_text(const std::string& path);
// Empty as well when it could not be read.
std::string read_text_or_nothing(const std::string& path);

}  // namespace udpcr
