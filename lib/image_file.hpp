// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What reading and writing image files have in common.
#pragma once

#include <string>

namespace udpcr {

// `name` must name a file in its folder, not a path.  Throws Error.
void check_image_name(const std::string& name, const std::string& display);

// Throws "cannot OPERATION image DISPLAY: STRERROR; REMEDY".
[[noreturn]] void throw_image_error(const char* operation, const std::string& display,
                                    int error_number);

}  // namespace udpcr
