// SPDX-License-Identifier: LGPL-2.1-or-later
//
// This process's part in a checkpoint.  Runs in the handler: see the law in
// shim.h.
#pragma once

#include <stdint.h>

namespace udpcr {

// The checkpoint signal came from outside.
void ask_for_checkpoint();
// The keeper's own signal, for the checkpoint number `epoch`.
void join_checkpoint(uint32_t epoch);
// In the child of fork: has sent nothing yet.
void forget_checkpoints();

}  // namespace udpcr
