// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The handler may run on the smallest alternate stack that the kernel allows,
// where a few hundred bytes are left.  What needs more runs on a stack of ours,
// one thread at a time; all signals are blocked there.
#pragma once

namespace udpcr::handler_stack {

// False: another thread is there, nothing was done.
bool run(void (*work)(void*), void* argument);
// In the child of fork.
void reset();

}  // namespace udpcr::handler_stack
