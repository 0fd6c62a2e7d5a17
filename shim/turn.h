// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Threads of the program take turns: a spin flag, held with all signals
// blocked, so that no handler of the program can come in between and wait for
// itself.  Held for microseconds, or for one question to the keeper; who waits
// for long sleeps, as a thread of a higher real-time priority must.
#pragma once

#include <sched.h>

#include <atomic>

#include "sys.h"

namespace udpcr {

class Turn {
 public:
  explicit Turn(std::atomic<bool>& taken) : taken_(taken) {
    for (int round = 0; taken_.exchange(true, std::memory_order_acquire); ++round) {
      if (round < kYields) {
        syscall(SYS_sched_yield);
      } else {
        sys::poll(nullptr, 0, 1);
      }
    }
  }
  ~Turn() { taken_.store(false, std::memory_order_release); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  static constexpr int kYields = 200;
  KeepErrno errno_;
  BlockSignals signals_;
  std::atomic<bool>& taken_;
};

}  // namespace udpcr
