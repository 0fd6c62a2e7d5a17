// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Whether sockets may be parked for this program, as seen before it has a
// keeper, which then takes them.
#pragma once

#include "settings.h"

namespace udpcr {

// A keeper of an earlier start has some of this image, or the module has some
// of whichever program.  Costs some microseconds;
// a keeper service that has to be asked, a tenth of a millisecond.
bool may_be_parked(const Settings& settings);

}  // namespace udpcr
