// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <udpcr/udpcr.hpp>

namespace udpcr {

// From here on nothing more gets into the queue of `fd`, but what is on its
// way from the filter to the queue.  Throws Error.
void refuse_datagrams(int fd);

// Longer than that takes.
constexpr std::chrono::milliseconds kInFlight{2};

}  // namespace udpcr
