// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <linux/capability.h>

#include <cstdint>

namespace udpcr::keeper {

// Bit by bit.
constexpr std::uint64_t kAllCapabilities = ~std::uint64_t{0};

// Those that this process may use, bit by bit.  Throws Error.
std::uint64_t own_capabilities();

// Gives up all others, for good; those are in force.  Throws Error.
void keep_capabilities(std::uint64_t most);

// Closes every inherited fd but `channel` and stderr, points 0 and 1 at
// /dev/null, sets no_new_privs and not dumpable, raises the soft RLIMIT_NOFILE to
// the hard one.  The capabilities that a keeper needs, and none beyond `most`, go to
// its monitor (monitor/client.hpp); this process has none, and makes the system calls
// of a keeper alone.  Throws Error.  `channel` is moved to a number above 2.
void enter_keeper_life(int& channel, std::uint64_t most = kAllCapabilities);

// The same for the session of a keeper service, which has inherited nothing that
// it must not have, and has no monitor.
void enter_session_life(std::uint64_t most);

// Whether this process makes the system calls of a list alone: false where a sandbox or
// the kernel has no seccomp(2) for it.
bool is_confined() noexcept;

}  // namespace udpcr::keeper
