// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How long the program waits for its keeper: without limit while that shows a sign
// of life, else kPatienceSlices of wire.h.  It is measured in waits of the waiter's
// own, and not by a clock: who stands still together with the keeper (SIGSTOP for all,
// a machine that is suspended) must not hold that against it.
//
// Safe in the signal handler; needs no system call but sendmsg and futex.
#pragma once

#include <stdint.h>

#include "wire.h"

namespace udpcr {

class Patience {
 public:
  // `limit_ms`: of the wait as a whole, signs of life or not.
  static constexpr int kNoLimit = 0;
  explicit Patience(int limit_ms);

  // A slice of wire::kSliceMs has passed, and nothing has come.  False: no more of
  // them; has_given_up() tells which limit it was.
  bool go_on();
  // The keeper shows no sign of life.
  [[nodiscard]] bool has_given_up() const { return slices_ == 0; }

 private:
  uint32_t seen_;
  int slices_;
  int all_slices_;  // -1: no limit
};

}  // namespace udpcr
