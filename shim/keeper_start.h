// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Starting a keeper: from inside a program (the shim) or before it (`udpcr
// run`).  No allocation, no libstdc++.
#pragma once

#include "settings.h"

namespace udpcr {

struct KeeperConnection {
  int channel;  // the program's end, close-on-exec
  int page;     // memfd of the shared page, close-on-exec
};

struct KeeperStartError {
  int error_number;  // 0: the keeper runs
  const char* step;  // the call that failed
};

// `tool`: path of the udpcr executable.  The keeper gets `environment` without
// LD_PRELOAD, LD_AUDIT and UDPCR_*.  It is no child of the caller that wait(2)
// would find, and is outside of its session.
KeeperStartError start_keeper(const char* tool, const Settings& settings,
                              const char* const* environment, KeeperConnection& connection);

// What to do about a keeper that did not start.
const char* keeper_start_remedy(int error_number);

}  // namespace udpcr
