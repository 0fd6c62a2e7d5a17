// SPDX-License-Identifier: LGPL-2.1-or-later
#include "key.hpp"

#include <udpcr/image_header.h>
#include <udpcr/udpcr_netlink.h>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "wire.h"

namespace udpcr::keeper {

static_assert(sizeof(ParkKey) == 48 && sizeof(ParkKey) <= UDPCR_MAX_KEY);
static_assert(sizeof(ParkKey) == wire::kParkKeySize);
static_assert(std::is_trivially_copyable_v<ParkKey>);

ParkKey::ParkKey(const Identity& program, const Settings& settings) {
  image = image_hash(settings);
  executable =
      udpcr_identity_hash(UDPCR_HASH_START, program.executable.data(), program.executable.size());
  arguments = program.arguments_hash;
  seconds = settings.park_seconds;
}

Bytes ParkKey::bytes() const {
  Bytes bytes(sizeof *this);
  std::memcpy(bytes.data(), this, sizeof *this);
  return bytes;
}

std::optional<ParkKey> ParkKey::from(ByteView bytes) {
  ParkKey key;
  if (bytes.size() != sizeof key) return {};
  std::memcpy(&key, bytes.data(), sizeof key);
  if (key.version != ParkKey{}.version) return {};
  return key;
}

std::uint64_t image_hash(const Settings& settings) {
  return udpcr_identity_hash(UDPCR_HASH_START, settings.image, std::strlen(settings.image));
}

}  // namespace udpcr::keeper
