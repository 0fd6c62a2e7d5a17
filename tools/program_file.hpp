// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The files that a command is run from.
#pragma once

#include <filesystem>
#include <string>

namespace udpcr {

// The file that execvp would take; empty when there is none.
std::string find_program(const std::string& name);

// The shim beside this tool, as built and as installed; empty when it is in
// neither place.
std::string find_shim();

}  // namespace udpcr
