// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The parked sockets of this network namespace, whoever holds them, as far as
// the caller may ask: root and the user who parked them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <udpcr/udpcr.hpp>
#include <vector>

#include "asker.hpp"
#include "key.hpp"
#include "module_client.hpp"

namespace udpcr::keeper {

struct ParkedSocket {
  // Of these inode, cookie, family, protocol, flags, local, peer, device, uid
  // (who parked it), rmem and queue_count count.
  SocketRecord record;
  ParkKey key;
  // Of the key's program; empty: the holder does not know (the module).
  std::string executable;
  bool alive = false;                  // its program still has it
  std::optional<std::uint64_t> since;  // ns of CLOCK_BOOTTIME: when that ended
  std::uint32_t seconds = 0;           // how long it is kept from then on
  pid_t holder = 0;                    // a keeper's process id; 0: the module
  std::string address;                 // of that keeper
};

// All that are parked.  Throws nothing for a holder that does not answer; it is
// named in `complaints`.
std::vector<ParkedSocket> list_parked(std::vector<std::string>& complaints);

// It is closed, unless somebody has it open.  Throws Error: ENOENT.
void drop_parked(const ParkedSocket& socket);

// For the module, for a sentence, and a connection to its keeper (throws Error:
// ENOENT when that has ended).
SocketName name_of(const ParkedSocket& socket);
std::string name_in_words(const ParkedSocket& socket);
ParkAsker keeper_of(const ParkedSocket& socket, Patience& patience);

}  // namespace udpcr::keeper
