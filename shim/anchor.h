// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The keeper's parent where the program is PID 1 or a subreaper, whose child
// the keeper would otherwise become, for the program's wait() to find.
#pragma once

namespace udpcr {

// In a clone of the program with exit signal 0, which its wait(), without
// __WALL or __WCLONE, does not see: gives back all that it has of the program,
// waits until the keeper, its child, has ended, and ends.  All signals are
// blocked.
[[noreturn]] void live_as_anchor();

}  // namespace udpcr
