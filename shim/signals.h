// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The checkpoint signal: its handler is ours for good.  What the program does
// with that signal is recorded, read back to it as it was set, and honoured
// for signals that it sends to itself.
#pragma once

#include <signal.h>
#include <stdint.h>

#include "signal_thread.h"

namespace udpcr::signals {

// In the constructor.  `chain`: UDPCR_SIGNAL_CHAIN=on.
void install(int signal, bool chain);
// 0: before install().
int watched_signal();
// False before install(), and in a process that has the kernel's own handling
// (signal_children.h).
bool is_watched(int signal);
// The kernel's set with this signal alone.
inline uint64_t bit_of(int signal) { return uint64_t{1} << (signal - 1); }

// sigaction(2) of the program for the watched signal.
void set_disposition(const struct sigaction* action, struct sigaction* old);
bool is_ignored_by_program();
// What the kernel has for it: ours.
void install_handler(int signal);

// sigprocmask(2) of the program: the watched signal stays open, and reads back
// as the program set it.  `change` is the real call.
using ChangeMask = int (*)(int how, const sigset_t* set, sigset_t* old);
int change_mask(ChangeMask change, int how, const sigset_t* set, sigset_t* old);
bool is_blocked_by_program();
// Delivers what waited.
void set_blocked_by_program(bool blocked);
// raise(3), kill(2) and sigqueue(3) to itself.
void send_own(siginfo_t& info, To to);
// Own signals that wait in the kernel for a signalfd, as they would.
void hold_in_kernel();
// They have been read: the signal is open again.
void let_go_if_read();

// What a call that takes the signal itself (sigwait) has got.
enum class Got { checkpoint, poke, own };
// A checkpoint is made or taken part in.
Got deal_with(siginfo_t& info);
// In the child of fork: nothing waits there.
void renew_after_fork();

}  // namespace udpcr::signals
