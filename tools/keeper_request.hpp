// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the tool asks of a running program's keeper.
#pragma once

#include <sys/types.h>

#include "keeper/control.hpp"
#include "keeper/worker.hpp"

namespace udpcr {

// `request`: keeper::kControlRequest or keeper::kRestartRequest.
// `timeout_seconds`: 0: without limit.  Throws Error when there is no answer.
keeper::Report ask_keeper(pid_t pid, wire::Order order, int timeout_seconds);

}  // namespace udpcr
