// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The keeper service at Settings::keeper: what the shim and `udpcr run` ask of
// it.
#pragma once

#include "keeper_start.h"
#include "text.h"
#include "wire.h"

namespace udpcr {

// A keeper from the service, as start_keeper() gives one.  False: `why` is a
// clause with the remedy.  Blocks until it is there, 2 ms on the machine where
// this was measured.
bool connect_keeper(const Settings& settings, KeeperConnection& connection, Line& why);

// Whether somebody holds sockets for this program.  False as well when nobody
// answers.
bool service_has_parked(const Settings& settings, const wire::ParkKey& mine);

}  // namespace udpcr
