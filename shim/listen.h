// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Socket activation, as sd_listen_fds(3) has it: sockets stand at 3, 4, ...,
// and LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES in the environment tell of
// them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace udpcr::listen {

// What the environment says to this very process.
struct Activation {
  uint32_t count;
  const char* names;  // LISTEN_FDNAMES
  uint32_t names_size;
};
Activation activation();

// LISTEN_FDNAMES as it stands in the environment, and the number of sockets;
// nullptr: none are named.
char* handed_names(uint32_t& count);
// Only `count` of them stand at 3, 4, ... any more; their names now end at
// `names_end`.  Changes the environment; in the constructor alone.
void reduce(uint32_t count, char* names_end);

// How many fd numbers are free in a row behind `count` sockets.
uint32_t room_behind(uint32_t count);

// `count` more sockets stand behind those that there were, named `names`,
// colons between them.  Changes the environment; in the constructor alone.
void announce(uint32_t count, const char* names, size_t names_size);

}  // namespace udpcr::listen
