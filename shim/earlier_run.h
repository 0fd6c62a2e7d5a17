// SPDX-License-Identifier: LGPL-2.1-or-later
//
// An earlier run of the program may have ended while its keeper was reading its
// sockets: its ports are free in a moment, and a bind that would have found them free
// without us must not fail.
#pragma once

#include <stdint.h>

namespace udpcr {

// One bind(2) that gave EADDRINUSE.
class EarlierRun {
 public:
  // Asks the keeper, and waits if need be.  True: bind once more.
  bool is_closing();

 private:
  int64_t deadline_ms_ = 0;
  int silent_ms_ = 0;
  bool last_ = false;
};

}  // namespace udpcr
