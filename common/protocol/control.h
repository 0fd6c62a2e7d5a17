// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How `udpcr checkpoint PID` and `udpcr restart` reach the keeper of a process, at an
// abstract Unix socket in the network namespace that the keeper started in; and how
// the worker, which reads the sockets and writes the image, reports to its keeper.
//
//   order   a checkpoint (OrderMessage).  `restart`: with UDPCR_PARK=checkpoint and
//           UDPCR_AFTER=exit, whatever the program was started with; if who asked hangs
//           up before that begins, nothing is done
//   report  what came of it (ReportMessage, then the image's path and the text)
#pragma once

#include <stdint.h>

#include "protocol/header.h"

namespace udpcr::wire {

enum class Order : uint32_t { checkpoint = 1, restart };

struct OrderMessage {
  WireHeader header{Type::order, kVersion};
  Order order = Order::checkpoint;
  uint32_t pad = 0;
};

struct ReportMessage {
  WireHeader header{Type::report, kVersion};
  uint32_t outcome = 0;    // Outcome of the keeper
  uint32_t sockets = 0;    // in the image
  uint64_t datagrams = 0;  // queued in them
  uint32_t losses = 0;     // what is not kept, each a line of the text
  uint32_t path_size = 0;  // bytes that follow: of the image; none when there is none
  uint32_t text_size = 0;  // bytes that follow then: lines for the person who asked
  uint32_t pad = 0;
};

}  // namespace udpcr::wire
