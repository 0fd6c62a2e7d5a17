// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Starts a keeper: `udpcr keeper CHANNEL`, a process that is nobody's child,
// in a session of its own.  Used by the shim and by `udpcr run`.
#pragma once

#include "settings.h"

namespace udpcr {

// Owned by the caller; both close-on-exec and above stderr.
struct KeeperConnection {
  int channel;  // our end
  int page;     // memfd of wire::SharedPage
};

// What went wrong: errno, or 0, and the step that failed, as a clause.
struct KeeperStartError {
  int error_number;
  const char* step;
};

// `tool`: path of the udpcr binary.  `environment` is passed on but for
// LD_PRELOAD, LD_AUDIT and UDPCR_*.  The settings go to the keeper in the
// start message.  Blocks until the new program runs, about 1 ms.  Leaves no
// child to wait for and no fd but the connection's.
KeeperStartError start_keeper(const char* tool, const Settings& settings,
                              const char* const* environment, KeeperConnection& connection);

}  // namespace udpcr
