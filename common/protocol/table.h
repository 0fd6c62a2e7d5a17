// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The table of restored sockets, which the shim looks into at bind and connect.
#pragma once

#include <stdint.h>

#include "protocol/header.h"
#include "protocol/program.h"

namespace udpcr::wire {

// The table of restored sockets (UDPCR_FDS=adopt): a sealed memfd, written by
// the keeper.  Entries stand in the order of the image, so that among equal
// ones the first that is not taken is the right one.
enum class EntryState : uint32_t { held = 0, taken = 1, gone = 2 };

struct TableEntry {
  EntryState state;  // the keeper's word; shim reads it atomically
  uint16_t family;
  uint16_t protocol;
  uint16_t local_port;  // host order; the port asked for: 0 when bound to port 0
  uint16_t peer_port;   // host order; 0: not connected
  uint32_t flags;       // kFdBound*: how it was bound; kFdAsync
  uint32_t local_scope;
  uint32_t peer_scope;
  uint16_t actual_port;  // host order: the port that it holds
  uint16_t pad;
  uint8_t local_address[16];
  uint8_t peer_address[16];
  char device[16];
  uint64_t netns_cookie;  // SO_NETNS_COOKIE; 0: not known
  SocketOwner owner;
  uint32_t pad2;
};

struct Table {
  WireHeader header;  // type table, length that of the memfd
  uint32_t entries;
  uint32_t pad;
  TableEntry entry[];
};

}  // namespace udpcr::wire
