// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who a parked socket is for.  The module and the service manager's fd store
// keep it as bytes beside the socket.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <udpcr/udpcr.hpp>

#include "identity.hpp"
#include "settings.h"

namespace udpcr::keeper {

// At most UDPCR_MAX_KEY bytes as they are.
struct ParkKey {
  std::uint32_t version = 1;
  std::uint32_t flags = 0;       // wire::kFd*: how it was bound, close-on-exec
  std::uint64_t image = 0;       // udpcr_identity_hash of the image's path
  std::uint64_t executable = 0;  // udpcr_identity_hash of its path
  std::uint64_t arguments = 0;   // Identity::arguments_hash
  std::int32_t number = -1;      // fd
  std::int32_t pid = 0;          // of the process that had it, as its keeper saw it
  std::uint32_t sequence = 0;    // in the order in which they were bound
  std::uint32_t seconds = 0;     // UDPCR_PARK_SECONDS of the program

  ParkKey() = default;
  ParkKey(const Identity& program, const Settings& settings);

  [[nodiscard]] Bytes bytes() const;
  // Empty: not one of ours.
  static std::optional<ParkKey> from(ByteView bytes);
  // Whether a program with the key `mine` may have it.
  [[nodiscard]] bool is_for(const ParkKey& mine, Match match) const;
};

// Of Settings::image, for names by which parked sockets are found.
std::uint64_t image_hash(const Settings& settings);

}  // namespace udpcr::keeper
