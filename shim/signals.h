// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The checkpoint signal: its handler is ours for good.  What the program does
// with that signal is recorded, read back to it as it was set, and honoured
// for signals that it sends to itself.
#pragma once

#include <signal.h>

namespace udpcr::signals {

// In the constructor.  `chain`: UDPCR_SIGNAL_CHAIN=on.
void install(int signal, bool chain);
// False before install().
bool is_watched(int signal);

// sigaction(2) of the program for the watched signal.
void set_disposition(const struct sigaction* action, struct sigaction* old);

// sigprocmask(2) of the program: the watched signal stays open, and reads back
// as the program set it.  `change` is the real call.
using ChangeMask = int (*)(int how, const sigset_t* set, sigset_t* old);
int change_mask(ChangeMask change, int how, const sigset_t* set, sigset_t* old);
bool is_blocked_by_program();
void set_blocked_by_program(bool blocked);
// sigsuspend(2).  `real` is the real call.
int suspend(int (*real)(const sigset_t*), const sigset_t& mask);

}  // namespace udpcr::signals
