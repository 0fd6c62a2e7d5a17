// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A program in the place of this one, as `udpcr run` starts it.
#pragma once

#include <string>
#include <vector>

namespace udpcr {

// Exit statuses of commands that become another program.
constexpr int kFailed = 125;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;

struct StartFailure {
  int status;
  std::string why;
};

// Starts a keeper and executes `file` under the shim, by the settings of the
// environment.  `program`: its arguments, ended by a null pointer.  Returns
// only when that fails.
StartFailure start_program(const std::string& file, const std::vector<char*>& program);
// The same for program[0] where a shell would find it.
StartFailure start_program(const std::vector<char*>& program);

// Says why on stderr, and returns `status`.
int start_failed(int status, const std::string& why);

}  // namespace udpcr
