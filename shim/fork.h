// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "fd_table.h"

namespace udpcr {

// In the constructor: children of fork get a channel of their own.
void watch_forks();

// In a child with a copy of our memory.
void begin_child();
// In one whose thread id the C library does not know.
void begin_raw_child();

// Children that raw system calls have made have not run it: at their first
// interposed call they do.
inline void notice_copy() {
  if (is_unnoticed_copy()) [[unlikely]] {
    begin_raw_child();
  }
}

}  // namespace udpcr
