// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the program believes of the checkpoint signal in each of its threads:
// whether it blocks it, and which of its own signals wait.  In the kernel the
// signal is open all the while.
#pragma once

#include <signal.h>
#include <stdint.h>

#include <atomic>

namespace udpcr::signals {

// A call that opens the signal while it waits (sigsuspend, ppoll, ...).
struct Wait {
  uint64_t mask;        // the one that the call was given
  bool blocked_before;  // belief outside of the call
};

// The kernel's siginfo; libc's is longer.
struct Sent {
  unsigned char bytes[48];
};

struct ThreadSlot {
  std::atomic<pid_t> id;   // 0: free
  std::atomic<bool> open;  // takes signals to the process: does not block, or waits
};

struct Thread {
  static constexpr unsigned kMost = 8;
  bool blocked;      // believed
  bool held;         // really blocked: an own signal waits in the kernel
  bool interrupted;  // our handler, and none of the program's, has ended a system call
  Wait* wait;
  ThreadSlot* slot;
  unsigned generation;  // of what is in `sent`
  unsigned count;
  Sent sent[kMost];
};
extern thread_local constinit Thread self;

enum class To { thread, process };

// No system call is made where the C library tells (chronyd's filter kills on
// gettid).  Once before the others, in the main thread.
void find_thread_id();
pid_t thread_id();
pid_t id_of(pthread_t thread);  // 0: not to be had

// At the start and end of a thread; `fresh`: the only one that there is.
void enter_thread(bool blocked);
void leave_thread();
void forget_other_threads();

// The belief alone; nothing is delivered.
void believe(bool blocked);

// Own signals that wait.  All signals are blocked by the caller of these.
// False: there is no room.
bool keep(int signal, const siginfo_t& info, To to);
bool take(siginfo_t& info, To& to);
// Those of every thread are gone: the program ignores the signal.
void flush();
bool is_any_kept();

// To whom a signal of the program was sent; clears our mark.
To addressee(siginfo_t& info);
void mark_for_thread(siginfo_t& info);
// Sends with the siginfo as it was, and our mark, so that it counts as the
// program's own whoever sent it.
bool is_sent_again(const siginfo_t& info);
void send_again(int signal, siginfo_t& info, To to);

// Tells a thread to look at what waits: this one, or the one that the kernel
// would choose of those that take what is sent to the process.  The keeper's signal
// may swallow a poke, so every run of the handler looks.
void poke_this(int signal);
void poke_any(int signal);
bool is_poke(const siginfo_t& info);

}  // namespace udpcr::signals
