// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Whether sockets are parked for this program, as seen before it has a keeper,
// which then takes them.
#pragma once

#include "settings.h"
#include "wire.h"

namespace udpcr {

// A keeper of an earlier start has some, or the module.  Costs some
// microseconds where neither has.
bool may_be_parked(const Settings& settings);

// What the module says.
bool module_has_parked(const wire::ParkKey& mine, Match match);

}  // namespace udpcr
