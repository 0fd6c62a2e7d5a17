// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The calls by which a program would take, or close its ears to, the
// checkpoint signal.  For every other signal they pass through.
#include <string.h>

#include "interpose.h"
#include "libc.h"
#include "signal_thread.h"
#include "signals.h"
#include "sys.h"

using udpcr::libc;
namespace signals = udpcr::signals;

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace {

// Of the watched signal.
__sighandler_t set_handler(__sighandler_t handler, int flags) {
  struct sigaction action {};
  struct sigaction old {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  signals::set_disposition(&action, &old);
  return old.sa_handler;
}

// signal(3) as BSD and glibc have it.
__sighandler_t set_bsd_handler(int signal, __sighandler_t handler) {
  struct sigaction action {};
  struct sigaction old {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaddset(&action.sa_mask, signal);
  signals::set_disposition(&action, &old);
  return old.sa_handler;
}

int block(int signal, bool blocked) {
  if (!signals::is_watched(signal)) return -1;
  signals::set_blocked_by_program(blocked);
  return 0;
}

}  // namespace

UDPCR_EXPORT int sigaction(int signal, const struct sigaction* action,
                           struct sigaction* old) noexcept {
  if (!signals::is_watched(signal)) return libc().sigaction(signal, action, old);
  signals::set_disposition(action, old);
  return 0;
}

UDPCR_EXPORT __sighandler_t signal(int signal, __sighandler_t handler) noexcept {
  return signals::is_watched(signal) ? set_bsd_handler(signal, handler)
                                     : libc().signal(signal, handler);
}

UDPCR_EXPORT __sighandler_t bsd_signal(int signal, __sighandler_t handler) noexcept {
  return signals::is_watched(signal) ? set_bsd_handler(signal, handler)
                                     : libc().bsd_signal(signal, handler);
}

UDPCR_EXPORT __sighandler_t ssignal(int signal, __sighandler_t handler) noexcept {
  return signals::is_watched(signal) ? set_bsd_handler(signal, handler)
                                     : libc().ssignal(signal, handler);
}

UDPCR_EXPORT __sighandler_t sysv_signal(int signal, __sighandler_t handler) noexcept {
  return signals::is_watched(signal)
             ? set_handler(handler, static_cast<int>(SA_RESETHAND | SA_NODEFER))
             : libc().sysv_signal(signal, handler);
}

// What signal() is in programs built for System V semantics.
UDPCR_EXPORT __sighandler_t __sysv_signal(int signal, __sighandler_t handler) noexcept {
  return sysv_signal(signal, handler);
}

UDPCR_EXPORT __sighandler_t sigset(int signal, __sighandler_t handler) noexcept {
  if (!signals::is_watched(signal)) return libc().sigset(signal, handler);
  const bool was_blocked = signals::is_blocked_by_program();
  struct sigaction old {};
  signals::set_disposition(nullptr, &old);
  __sighandler_t before = old.sa_handler;
  if (handler != SIG_HOLD) before = set_handler(handler, 0);
  block(signal, handler == SIG_HOLD);
  return was_blocked ? SIG_HOLD : before;
}

UDPCR_EXPORT int sighold(int signal) noexcept {
  return block(signal, true) == 0 ? 0 : libc().sighold(signal);
}

UDPCR_EXPORT int sigrelse(int signal) noexcept {
  return block(signal, false) == 0 ? 0 : libc().sigrelse(signal);
}

UDPCR_EXPORT int sigignore(int signal) noexcept {
  if (!signals::is_watched(signal)) return libc().sigignore(signal);
  set_handler(SIG_IGN, 0);
  return 0;
}

UDPCR_EXPORT int siginterrupt(int signal, int interrupt) noexcept {
  if (!signals::is_watched(signal)) return libc().siginterrupt(signal, interrupt);
  struct sigaction action {};
  signals::set_disposition(nullptr, &action);
  action.sa_flags = interrupt != 0 ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
  signals::set_disposition(&action, nullptr);
  return 0;
}

UDPCR_EXPORT int sigprocmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  return signals::change_mask(libc().sigprocmask, how, set, old);
}

UDPCR_EXPORT int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  return signals::change_mask(libc().pthread_sigmask, how, set, old);
}

namespace {

// BSD's masks hold the first 32 signals.
int change_bsd_mask(int how, const int* mask) {
  sigset_t set;
  sigset_t old;
  sigemptyset(&set);
  if (mask != nullptr) memcpy(&set, mask, sizeof *mask);
  const udpcr::KeepErrno keep;
  signals::change_mask(libc().sigprocmask, how, mask == nullptr ? nullptr : &set, &old);
  int before = 0;
  memcpy(&before, &old, sizeof before);
  return before;
}

}  // namespace

UDPCR_EXPORT int sigblock(int mask) noexcept { return change_bsd_mask(SIG_BLOCK, &mask); }

UDPCR_EXPORT int sigsetmask(int mask) noexcept { return change_bsd_mask(SIG_SETMASK, &mask); }

UDPCR_EXPORT int siggetmask() noexcept { return change_bsd_mask(SIG_BLOCK, nullptr); }

namespace {

// Sent to itself.
int send(int signal, int code, union sigval value, signals::To to) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = code;
  info.si_pid = udpcr::sys::getpid();
  info.si_uid = static_cast<uid_t>(syscall(SYS_getuid));
  info.si_value = value;
  signals::send_own(info, to);
  return 0;
}

bool is_this_process(pid_t process) { return process > 0 && process == udpcr::sys::getpid(); }

}  // namespace

UDPCR_EXPORT int raise(int signal) noexcept {
  if (!signals::is_watched(signal)) return libc().raise(signal);
  return send(signal, SI_TKILL, {}, signals::To::thread);
}

UDPCR_EXPORT int gsignal(int signal) noexcept { return raise(signal); }

UDPCR_EXPORT int kill(pid_t process, int signal) noexcept {
  if (!signals::is_watched(signal) || !is_this_process(process)) {
    return libc().kill(process, signal);
  }
  return send(signal, SI_USER, {}, signals::To::process);
}

UDPCR_EXPORT int sigqueue(pid_t process, int signal, union sigval value) noexcept {
  if (!signals::is_watched(signal) || !is_this_process(process)) {
    return libc().sigqueue(process, signal, value);
  }
  return send(signal, SI_QUEUE, value, signals::To::process);
}

UDPCR_EXPORT int pthread_kill(pthread_t thread, int signal) noexcept {
  if (!signals::is_watched(signal) || pthread_equal(thread, pthread_self()) == 0) {
    return libc().pthread_kill(thread, signal);
  }
  return send(signal, SI_TKILL, {}, signals::To::thread);
}

// The kernel does not say for whom it was.
UDPCR_EXPORT int pthread_sigqueue(pthread_t thread, int signal, union sigval value) noexcept {
  if (!signals::is_watched(signal)) return libc().pthread_sigqueue(thread, signal, value);
  if (pthread_equal(thread, pthread_self()) != 0) {
    return send(signal, SI_QUEUE, value, signals::To::thread);
  }
  const pid_t id = signals::id_of(thread);
  if (id == 0) return libc().pthread_sigqueue(thread, signal, value);
  const udpcr::KeepErrno keep;
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = udpcr::sys::getpid();
  info.si_uid = static_cast<uid_t>(udpcr::syscall(SYS_getuid));
  info.si_value = value;
  signals::mark_for_thread(info);
  return udpcr::syscall(SYS_rt_tgsigqueueinfo, info.si_pid, id, signal, &info) == 0 ? 0 : errno;
}
