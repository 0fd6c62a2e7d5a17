// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a program and a keeper service say to each other, until a session of the
// service is the program's keeper.
//
//   program -> service
//     start       as to every keeper (program.h)
//     probe       in its place: is anything parked for this program? (park.h); so
//                 ask the shim and the service a keeper that has parked sockets
//     identified  answer to identify (IdentifyMessage)
//
//   service -> program
//     identify    a random number that is to come back (IdentifyMessage)
//     accepted    answer to start (AcceptedMessage)
//     found       answer to probe (FoundMessage)
#pragma once

#include <stdint.h>

#include "protocol/header.h"

namespace udpcr::wire {

// Of AcceptedMessage::why.
constexpr unsigned kLongestRefusal = 400;

struct AcceptedMessage {
  WireHeader header;
  uint32_t refused;           // 1: there will be no keeper
  char why[kLongestRefusal];  // with its NUL, a sentence with the remedy
};

struct FoundMessage {
  WireHeader header;
  uint32_t parked;  // 1: somebody holds sockets for it
};

}  // namespace udpcr::wire
