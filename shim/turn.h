// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Threads of the program take turns: a spin flag, held with all signals
// blocked, so that no handler of the program can come in between and wait for
// itself.  Held for microseconds, or for one question to the keeper.
#pragma once

#include <sched.h>

#include <atomic>

#include "sys.h"

namespace udpcr {

class Turn {
 public:
  explicit Turn(std::atomic<bool>& taken) : taken_(taken) {
    while (taken_.exchange(true, std::memory_order_acquire)) syscall(SYS_sched_yield);
  }
  ~Turn() { taken_.store(false, std::memory_order_release); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  KeepErrno errno_;
  BlockSignals signals_;
  std::atomic<bool>& taken_;
};

}  // namespace udpcr
