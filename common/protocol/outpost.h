// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a session of a keeper service asks of the process that it has left in the
// service's network namespace.
//
//   outpost_ask     OutpostAsk (fd: with may_ask, who has connected)
//   outpost_answer  OutpostAnswer (fd: of socket, the new one)
#pragma once

#include <stdint.h>

#include "protocol/header.h"

namespace udpcr::wire {

enum class OutpostQuestion : uint32_t { socket = 1, may_ask };

struct OutpostAsk {
  WireHeader header{Type::outpost_ask, kVersion};
  OutpostQuestion question = OutpostQuestion::socket;
  uint32_t pad = 0;
};

struct OutpostAnswer {
  WireHeader header{Type::outpost_answer, kVersion};
  int32_t error_number = 0;  // of socket
  uint32_t may = 0;          // of may_ask
};

}  // namespace udpcr::wire
