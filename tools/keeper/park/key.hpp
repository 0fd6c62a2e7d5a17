// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who a parked socket is for.  The module and the service manager's fd store
// keep it as bytes beside the socket.
#pragma once

#include <optional>
#include <string>
#include <udpcr/udpcr.hpp>

#include "keeper/identity.hpp"
#include "settings.h"
#include "wire.h"

namespace udpcr::keeper {

struct ParkKey : wire::ParkKey {
  ParkKey() = default;
  explicit ParkKey(const wire::ParkKey& key) : wire::ParkKey(key) {}
  ParkKey(const Identity& program, const Settings& settings);

  [[nodiscard]] Bytes bytes() const;
  // Empty: not one of ours.
  static std::optional<ParkKey> from(ByteView bytes);
};

// Of Settings::image, for names by which parked sockets are found.
std::uint64_t image_hash(const Settings& settings);

}  // namespace udpcr::keeper
