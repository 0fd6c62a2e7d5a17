// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The page that a keeper and every process of its program share.
#pragma once

#include <stdint.h>

#include "protocol/header.h"

namespace udpcr::wire {

// How long a process waits for a keeper that shows no sign of life: this many
// waits of this length, each of which it has really slept.  A program, a keeper or a
// machine that stands still for a while costs one of them, however long that is.
constexpr int kSliceMs = 100;
constexpr int kPatienceSlices = 10;

// The shared page: a memfd sealed against shrinking, made by whoever starts
// the keeper, mapped by every process of the tree.
enum class PageState : uint32_t { idle = 0, freezing = 1 };
enum class Verdict : uint32_t { resume = 0, exit_ = 1 };

struct SharedPage {
  WireHeader header;  // type page, length kPageSize
  // The checkpoint going on or, when idle, the next: epoch_after() of the last.
  // Handlers wait on it (futex) until it changes.  Keeper and waiting program both
  // end it by compare-and-swap: whoever comes second has to abide by it.
  uint32_t epoch;
  PageState state;
  uint32_t parked[2];  // threads that wait in their handler, by parked_index()
  int32_t keeper_pid;  // as the keeper sees itself; for messages only
  uint32_t scan_to;    // handlers look for sockets at all numbers below, at least
  uint32_t parking;    // 1: sockets of this tree are parked, so that a close must be told
  // The keeper's loop raises it with each message and, as long as it has something
  // to do, at least once in kSliceMs.  0: it has not run yet.
  uint32_t progress;
  // 1: the program waits for this keeper no more and asks it nothing; it ends.
  uint32_t given_up;
};

// What becomes of the epoch when its checkpoint has ended: the verdict and the end
// are one word, so that no thread can see one without the other.
constexpr uint32_t kEpochExit = 1;
constexpr uint32_t epoch_after(uint32_t epoch, Verdict verdict) {
  return (epoch | kEpochExit) + 1 + (verdict == Verdict::exit_ ? kEpochExit : 0);
}
constexpr bool tells_to_exit(uint32_t epoch) { return (epoch & kEpochExit) != 0; }
constexpr unsigned parked_index(uint32_t epoch) { return epoch >> 1 & 1; }

constexpr unsigned kPageSize = 4096;

}  // namespace udpcr::wire
