// SPDX-License-Identifier: LGPL-2.1-or-later
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "checkpoint.h"
#include "real.h"
#include "shim.h"

namespace udpcr {

namespace {

using Action = struct sigaction;

// What the program asked for.  A writer fills the other slot, then turns over:
// a handler that reads meanwhile sees a whole one.
Action program_actions[2];
std::atomic<unsigned> current_action;

// Whether the program believes that this thread blocks the signal.
__thread bool blocked_by_program __attribute__((tls_model("initial-exec")));

Action program_action() { return program_actions[current_action.load()]; }

void set_program_action(const Action& action) {
  const unsigned other = 1 - current_action.load();
  program_actions[other] = action;
  current_action.store(other);
}

bool is_ours(int signal) {
  return shim.active.load(std::memory_order_relaxed) && signal == shim.settings.signal;
}

// The kernel's signal set is 8 bytes.
constexpr size_t kKernelSetSize = 8;

// SIG_DFL of every signal that can be ours but these ends the program.
bool default_is_ignore(int signal) {
  return signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT;
}

void raise_default(int signal) {
  Action dfl{};
  dfl.sa_handler = SIG_DFL;
  real().sigaction(signal, &dfl, nullptr);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &one, nullptr, kKernelSetSize);
  syscall(SYS_kill, getpid(), signal);
}

// As the kernel would have delivered it to the program.
void deliver_to_program(int signal, siginfo_t* info, void* context) {
  const Action action = program_action();
  if (action.sa_handler == SIG_IGN) return;
  if (action.sa_handler == SIG_DFL) {
    if (!default_is_ignore(signal)) raise_default(signal);
    return;
  }
  if ((action.sa_flags & SA_RESETHAND) != 0) {
    Action dfl{};
    dfl.sa_handler = SIG_DFL;
    set_program_action(dfl);
  }
  sigset_t mask = static_cast<ucontext_t*>(context)->uc_sigmask;
  for (int other = 1; other < _NSIG; ++other) {
    if (sigismember(&action.sa_mask, other) == 1) sigaddset(&mask, other);
  }
  // Ours stays out while the program's handler runs, as if it had SA_NODEFER off.
  sigaddset(&mask, signal);
  sigset_t before;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &before, kKernelSetSize);
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    action.sa_sigaction(signal, info, context);
  } else {
    action.sa_handler(signal);
  }
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, kKernelSetSize);
}

// kill, sigqueue and their kin carry a sender; what a timer or an fd raises
// is the program's own.
bool from_outside(const siginfo_t& info) {
  const bool has_sender =
      info.si_code == SI_USER || info.si_code == SI_TKILL || info.si_code == SI_QUEUE;
  return has_sender && info.si_pid != getpid();
}

bool from_keeper(const siginfo_t& info, uint32_t& epoch) {
  if (info.si_code != SI_QUEUE) return false;
  uint64_t value;
  memcpy(&value, &info.si_value, sizeof value);
  epoch = static_cast<uint32_t>(value);
  return value >> 32 == wire::kSignalMagic;
}

void on_checkpoint_signal(int signal, siginfo_t* info, void* context) {
  const KeepErrno keep;
  uint32_t epoch = 0;
  if (!in_own_process()) return;
  if (!from_outside(*info)) {
    deliver_to_program(signal, info, context);
  } else if (from_keeper(*info, epoch)) {
    join_checkpoint(epoch);
  } else {
    ask_for_checkpoint();
    const Action action = program_action();
    if (shim.settings.signal_chain && action.sa_handler != SIG_DFL) {
      deliver_to_program(signal, info, context);
    }
  }
}

int change_mask(int (*change)(int, const sigset_t*, sigset_t*), int how, const sigset_t* set,
                sigset_t* old) {
  if (!shim.active.load(std::memory_order_relaxed)) return change(how, set, old);
  const int signal = shim.settings.signal;
  const bool was_blocked = blocked_by_program;
  bool will_be_blocked = was_blocked;
  sigset_t filtered;
  if (set != nullptr) {
    filtered = *set;
    const bool named = sigismember(set, signal) == 1;
    if (how == SIG_SETMASK) will_be_blocked = named;
    if (how == SIG_BLOCK && named) will_be_blocked = true;
    if (how == SIG_UNBLOCK && named) will_be_blocked = false;
    sigdelset(&filtered, signal);
  }
  const int result = change(how, set == nullptr ? nullptr : &filtered, old);
  if (result != 0) return result;
  blocked_by_program = will_be_blocked;
  if (old != nullptr) {
    if (was_blocked) {
      sigaddset(old, signal);
    } else {
      // In the program's own handler for a signal to itself it is blocked.
      sigdelset(old, signal);
    }
  }
  return result;
}

// signal(3) and its relatives, for the checkpoint signal.
sighandler_t set_handler(int signal, sighandler_t handler, int flags) {
  const sighandler_t before = program_action().sa_handler;
  Action action{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  if ((flags & SA_NODEFER) == 0) sigaddset(&action.sa_mask, signal);
  set_program_action(action);
  return before;
}

}  // namespace

void take_signal() {
  const KeepErrno keep;
  const int signal = shim.settings.signal;
  Action action{};
  action.sa_sigaction = on_checkpoint_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  Action before{};
  if (real().sigaction(signal, &action, &before) != 0) return;
  set_program_action(before);
  sigset_t one;
  sigset_t old;
  sigemptyset(&one);
  sigaddset(&one, signal);
  real().pthread_sigmask(SIG_UNBLOCK, &one, &old);
  blocked_by_program = sigismember(&old, signal) == 1;
}

UDPCR_EXPORT int sigaction(int signal, const struct sigaction* act,
                           struct sigaction* old) noexcept {
  if (!is_ours(signal)) return real().sigaction(signal, act, old);
  const Action before = program_action();
  if (act != nullptr) set_program_action(*act);
  if (old != nullptr) *old = before;
  return 0;
}

#define UDPCR_SIGNAL_CALL(name, flags)                                                           \
  UDPCR_EXPORT sighandler_t name(int signal, sighandler_t handler) noexcept {                    \
    return is_ours(signal) ? set_handler(signal, handler, flags) : real().name(signal, handler); \
  }
UDPCR_SIGNAL_CALL(signal, SA_RESTART)
UDPCR_SIGNAL_CALL(bsd_signal, SA_RESTART)
UDPCR_SIGNAL_CALL(ssignal, SA_RESTART)
UDPCR_SIGNAL_CALL(sysv_signal, SA_RESETHAND | SA_NODEFER)
UDPCR_SIGNAL_CALL(__sysv_signal, SA_RESETHAND | SA_NODEFER)
#undef UDPCR_SIGNAL_CALL

UDPCR_EXPORT sighandler_t sigset(int signal, sighandler_t handler) noexcept {
  if (!is_ours(signal)) return real().sigset(signal, handler);
  const sighandler_t before = blocked_by_program ? SIG_HOLD : program_action().sa_handler;
  blocked_by_program = handler == SIG_HOLD;
  if (handler != SIG_HOLD) set_handler(signal, handler, 0);
  return before;
}

UDPCR_EXPORT int sigignore(int signal) noexcept {
  if (!is_ours(signal)) return real().sigignore(signal);
  set_handler(signal, SIG_IGN, 0);
  return 0;
}

UDPCR_EXPORT int sighold(int signal) noexcept {
  if (!is_ours(signal)) return real().sighold(signal);
  blocked_by_program = true;
  return 0;
}

UDPCR_EXPORT int sigprocmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  return change_mask(real().sigprocmask, how, set, old);
}

UDPCR_EXPORT int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  return change_mask(real().pthread_sigmask, how, set, old);
}

// The BSD masks are the first 32 signals as bits of an int.
UDPCR_EXPORT int sigblock(int mask) noexcept {
  const int signal = shim.settings.signal;
  if (!is_ours(signal) || signal > 32) return real().sigblock(mask);
  const int bit = static_cast<int>(1U << (signal - 1));
  const int before = (real().sigblock(mask & ~bit) & ~bit) | (blocked_by_program ? bit : 0);
  if ((mask & bit) != 0) blocked_by_program = true;
  return before;
}

UDPCR_EXPORT int sigsetmask(int mask) noexcept {
  const int signal = shim.settings.signal;
  if (!is_ours(signal) || signal > 32) return real().sigsetmask(mask);
  const int bit = static_cast<int>(1U << (signal - 1));
  const int before = (real().sigsetmask(mask & ~bit) & ~bit) | (blocked_by_program ? bit : 0);
  blocked_by_program = (mask & bit) != 0;
  return before;
}

}  // namespace udpcr
