// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The part of a keeper that has its rights.  It parses nothing of a program's, of an
// image's or of another keeper's, and does a fixed list of operations for the keeper,
// which has no right.
#pragma once

#include <sys/types.h>

#include <udpcr/udpcr.hpp>

namespace udpcr::keeper::monitor {

// Serves `channel` until nobody has its other end.  Throws nothing.
void live(UniqueFd channel, pid_t keeper) noexcept;

}  // namespace udpcr::keeper::monitor
