// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The page that a keeper and every process of its program share.
#pragma once

#include <stdint.h>

#include "protocol/header.h"

namespace udpcr::wire {

// The shared page: a memfd sealed against shrinking, made by whoever starts
// the keeper, mapped by every process of the tree.
enum class PageState : uint32_t { idle = 0, freezing = 1 };
enum class Verdict : uint32_t { resume = 0, exit_ = 1 };

struct SharedPage {
  WireHeader header;  // type page, length kPageSize
  // Number of the checkpoint going on or, when idle, the next.  Handlers wait
  // on it (futex) until it grows.
  uint32_t epoch;
  PageState state;
  Verdict verdict;     // valid when `epoch` has grown
  uint32_t parked[2];  // threads that wait in their handler, by epoch's lowest bit
  int32_t keeper_pid;  // as the keeper sees itself; for messages only
  uint32_t scan_to;    // handlers look for sockets at all numbers below, at least
  uint32_t parking;    // 1: sockets of this tree are parked, so that a close must be told
};
constexpr unsigned kPageSize = 4096;

}  // namespace udpcr::wire
