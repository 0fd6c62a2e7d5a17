// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The program's side of a checkpoint.  All of it runs in the signal handler.
#pragma once

namespace udpcr::checkpoint {

// When the keeper is freezing the program: this process sends its fds, once, and
// the thread waits until the checkpoint is over.  May not return
// (UDPCR_AFTER=exit).
void take_part_if_freezing();

// A signal from outside asks for a checkpoint.
void request();

// In the child of fork: it has sent nothing yet.
void forget_what_was_sent();

}  // namespace udpcr::checkpoint
