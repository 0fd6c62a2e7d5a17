// SPDX-License-Identifier: LGPL-2.1-or-later
#include "signals.h"

#include <string.h>
#include <ucontext.h>

#include <atomic>

#include "channel.h"
#include "checkpoint.h"
#include "libc.h"
#include "sys.h"
#include "turn.h"

namespace udpcr::signals {

namespace {

constinit std::atomic<int> watched = 0;
constinit bool chained = false;

// Two, so that a handler always finds a whole one while it is being changed.
constinit struct sigaction dispositions[2] = {};
constinit std::atomic<unsigned> current = 0;
constinit std::atomic<bool> changing = false;

// The program believes that this thread blocks the signal.
thread_local constinit bool blocked_by_program = false;
// And one that it sent to itself has come meanwhile.
thread_local constinit bool pending = false;

uint64_t bit_of(int signal) { return uint64_t{1} << (signal - 1); }

uint64_t kernel_mask(const sigset_t& set) {
  uint64_t mask = 0;
  memcpy(&mask, &set, sizeof mask);
  return mask;
}

void send_to_this_thread(int signal) {
  syscall(SYS_tgkill, sys::getpid(), syscall(SYS_gettid), signal);
}

void handle(int signal, siginfo_t* info, void* context);

// A program that asked for EINTR is used to it; all others never see it.
void install_handler(int signal) {
  const struct sigaction& own = dispositions[current.load(std::memory_order_relaxed)];
  const bool wants_interruption =
      own.sa_handler != SIG_DFL && own.sa_handler != SIG_IGN && (own.sa_flags & SA_RESTART) == 0;
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | (wants_interruption ? 0 : SA_RESTART);
  sigfillset(&action.sa_mask);
  libc().plain_sigaction(signal, &action, nullptr);
}

// What the kernel would have done had we not been there.
void do_default(int signal) {
  struct sigaction standard {};
  libc().plain_sigaction(signal, &standard, nullptr);
  send_to_this_thread(signal);
  const uint64_t open = bit_of(signal);
  sys::set_signal_mask(SIG_UNBLOCK, &open, nullptr);
  // Ignored by default, or stopped and continued.
  install_handler(signal);
}

void call_own_handler(int signal, siginfo_t* info, void* context) {
  const struct sigaction own = dispositions[current.load(std::memory_order_acquire)];
  if (own.sa_handler == SIG_IGN || own.sa_handler == SIG_DFL) return;
  if ((own.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) {
    struct sigaction standard {};
    set_disposition(&standard, nullptr);
  }
  uint64_t mask =
      kernel_mask(static_cast<ucontext_t*>(context)->uc_sigmask) | kernel_mask(own.sa_mask);
  if ((own.sa_flags & SA_NODEFER) == 0) mask |= bit_of(signal);
  // The return from our handler puts back what was before it.
  sys::set_signal_mask(SIG_SETMASK, &mask, nullptr);
  if ((own.sa_flags & SA_SIGINFO) != 0) {
    own.sa_sigaction(signal, info, context);
  } else {
    own.sa_handler(signal);
  }
}

void handle_own(int signal, siginfo_t* info, void* context) {
  if (blocked_by_program) {
    pending = true;
    return;
  }
  if (dispositions[current.load(std::memory_order_acquire)].sa_handler == SIG_DFL) {
    do_default(signal);
  } else {
    call_own_handler(signal, info, context);
  }
}

bool is_keepers(const siginfo_t& info, uint32_t& epoch) {
  if (info.si_code != SI_QUEUE) return false;
  uint64_t value = 0;
  memcpy(&value, &info.si_value, sizeof value);
  epoch = static_cast<uint32_t>(value);
  return value >> 32 == wire::kSignalMagic;
}

// By kill(2) and its like, and from another process.  Timers, asynchronous
// input and the kernel's own reasons are the program's affair.
bool is_from_outside(const siginfo_t& info) {
  const bool sent = info.si_code == SI_USER || info.si_code == SI_QUEUE || info.si_code == SI_TKILL;
  return sent && info.si_pid != sys::getpid();
}

void handle(int signal, siginfo_t* info, void* context) {
  const KeepErrno keep;
  uint32_t epoch = 0;
  if (is_keepers(*info, epoch)) {
    wire::SharedPage* const page = channel::page();
    if (page == nullptr) return;
    wire::PageState state{};
    __atomic_load(&page->state, &state, __ATOMIC_SEQ_CST);
    const bool current_one = __atomic_load_n(&page->epoch, __ATOMIC_SEQ_CST) == epoch;
    if (state == wire::PageState::freezing && current_one) checkpoint::take_part(epoch);
  } else if (is_from_outside(*info)) {
    checkpoint::request();
    if (chained) call_own_handler(signal, info, context);
  } else {
    handle_own(signal, info, context);
  }
}

}  // namespace

void install(int signal, bool chain) {
  chained = chain;
  // What the program has inherited, or an earlier constructor has set.
  libc().plain_sigaction(signal, nullptr, &dispositions[0]);
  watched.store(signal, std::memory_order_release);
  install_handler(signal);
  uint64_t before = 0;
  const uint64_t open = bit_of(signal);
  sys::set_signal_mask(SIG_UNBLOCK, &open, &before);
  blocked_by_program = (before & open) != 0;
}

bool is_watched(int signal) {
  return signal != 0 && watched.load(std::memory_order_acquire) == signal;
}

void set_disposition(const struct sigaction* action, struct sigaction* old) {
  const Turn turn(changing);
  const unsigned now = current.load(std::memory_order_relaxed);
  // The two may be the same object.
  const struct sigaction before = dispositions[now];
  if (action != nullptr) {
    dispositions[1 - now] = *action;
    current.store(1 - now, std::memory_order_release);
    install_handler(watched.load(std::memory_order_relaxed));
  }
  if (old != nullptr) *old = before;
}

bool is_blocked_by_program() { return blocked_by_program; }

void set_blocked_by_program(bool blocked) {
  blocked_by_program = blocked;
  if (blocked || !pending) return;
  pending = false;
  send_to_this_thread(watched.load(std::memory_order_relaxed));
}

int suspend(int (*real)(const sigset_t*), const sigset_t& mask) {
  const int signal = watched.load(std::memory_order_acquire);
  if (signal == 0) return real(&mask);
  const bool opens = sigismember(&mask, signal) != 1;
  const bool before = blocked_by_program;
  if (opens && pending) {
    // It has come already: handled now, and the call is over.
    set_blocked_by_program(false);
    blocked_by_program = before;
    errno = EINTR;
    return -1;
  }
  sigset_t without = mask;
  sigdelset(&without, signal);
  blocked_by_program = !opens;
  const int result = real(&without);
  blocked_by_program = before;
  return result;
}

int change_mask(ChangeMask change, int how, const sigset_t* set, sigset_t* old) {
  const int signal = watched.load(std::memory_order_acquire);
  if (signal == 0) return change(how, set, old);
  const bool before = blocked_by_program;
  sigset_t without{};
  bool named = false;
  if (set != nullptr) {
    without = *set;
    named = sigismember(&without, signal) == 1;
    sigdelset(&without, signal);
  }
  const int result = change(how, set == nullptr ? nullptr : &without, old);
  if (result != 0) return result;
  if (old != nullptr && before) sigaddset(old, signal);
  if (set != nullptr) {
    const KeepErrno keep;
    if (how == SIG_SETMASK) set_blocked_by_program(named);
    if (how == SIG_BLOCK && named) set_blocked_by_program(true);
    if (how == SIG_UNBLOCK && named) set_blocked_by_program(false);
  }
  return 0;
}

}  // namespace udpcr::signals
