// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What /proc/PID tells of a process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace udpcr {

// /proc/PID/NAME, or of this process's with pid 0.
std::string process_path(pid_t pid, const std::string& name);
// The words behind "FIELD:" of its status; empty when it is gone.
std::vector<std::uint64_t> status_numbers(pid_t pid, const std::string& field, int base = 10);
// The strings of environ or cmdline; empty when another user's.
std::vector<std::string> strings_of(pid_t pid, const std::string& name);
// Where a link leads, without " (deleted)"; empty when another user's.
std::string link_of(pid_t pid, const std::string& name);
// "udpcr-keeper"; empty when it is gone.
std::string name_of(pid_t pid);
// Every process that is seen here.
std::vector<pid_t> all_processes();

}  // namespace udpcr
