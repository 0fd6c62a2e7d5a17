// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The checkpoint signal: ours in the kernel, the program's in its own eyes.
#pragma once

namespace udpcr {

// Installs the handler and unblocks the signal in the calling thread.
void take_signal();

}  // namespace udpcr
