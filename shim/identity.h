// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who the program is, as it was before its own code ran; and whose the image
// is that stands at UDPCR_IMAGE.
#pragma once

#include <stdint.h>

#include "settings.h"
#include "wire.h"

namespace udpcr {

// In the constructor: programs overwrite their arguments.
void remember_identity(int argc, const char* const* argv);

// Which parked sockets may be its own.
wire::ParkKey own_park_key(const Settings& settings);

// Tells the keeper.  0 or errno.
int send_hello(const Settings& settings, bool waits);

enum class Standing : uint8_t {
  none,
  ours,     // by its header; the keeper looks closer
  others,   // another program's
  unsound,  // cannot be opened, or has no header of ours: the keeper says which
};
Standing image_standing(const Settings& settings);

}  // namespace udpcr
