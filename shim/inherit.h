// SPDX-License-Identifier: LGPL-2.1-or-later
//
// UDPCR_FDS=inherit: the restored sockets stand at their old fd numbers before
// main().
#pragma once

#include <stdint.h>

#include "patience.h"

namespace udpcr {

// Receives `count` sockets from the keeper and puts them in their places.
// What cannot be is said, a line each.
void place_inherited(uint32_t count, Patience& patience);

}  // namespace udpcr
