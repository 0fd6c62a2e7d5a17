// SPDX-License-Identifier: LGPL-2.1-or-later
#include "signals.h"

#include <string.h>
#include <ucontext.h>

#include <atomic>

#include "adopt.h"
#include "channel.h"
#include "checkpoint.h"
#include "fd_table.h"
#include "libc.h"
#include "signal_children.h"
#include "signal_thread.h"
#include "sys.h"
#include "turn.h"

// With variables of its own, that shall not lie on the stack all the while.
#define UDPCR_APART __attribute__((noinline))

namespace udpcr::signals {

namespace {

constinit std::atomic<int> watched = 0;
constinit bool chained = false;

// Two, so that a handler always finds a whole one while it is being changed.
constinit struct sigaction dispositions[2] = {};
constinit std::atomic<unsigned> current = 0;
constinit std::atomic<bool> changing = false;
// The program has a signalfd with the signal.
constinit std::atomic<bool> read_by_fd = false;

uint64_t kernel_mask(const sigset_t& set) {
  uint64_t mask = 0;
  memcpy(&mask, &set, sizeof mask);
  return mask;
}

void set_bit(sigset_t& set, uint64_t bit, bool on) {
  const uint64_t before = kernel_mask(set);
  const uint64_t after = on ? before | bit : before & ~bit;
  memcpy(&set, &after, sizeof after);
}

void open_in_kernel(int signal) {
  const uint64_t bit = bit_of(signal);
  sys::set_signal_mask(SIG_UNBLOCK, &bit, nullptr);
}

bool has_handler(const struct sigaction& action) {
  return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

struct sigaction disposition() {
  return dispositions[current.load(std::memory_order_acquire)];
}

// By default ignored: signal(7).
bool ignores(int signal, __sighandler_t handler) {
  if (handler == SIG_IGN) return true;
  return handler == SIG_DFL &&
         (signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT);
}

void handle(int signal, siginfo_t* info, void* context);

// What the kernel would have done had we not been there.
UDPCR_APART void do_default(int signal) {
  struct sigaction standard {};
  libc().plain_sigaction(signal, &standard, nullptr);
  syscall(SYS_tgkill, sys::getpid(), thread_id(), signal);
  open_in_kernel(signal);
  // Ignored by default, or stopped and continued.
  install_handler(signal);
}

// What of a disposition matters to a call of the handler; small, for it stays on
// the stack meanwhile.
struct Own {
  __sighandler_t handler;
  void (*action)(int, siginfo_t*, void*);  // SA_SIGINFO
  uint64_t mask;
  int flags;
};

Own own_now() {
  const struct sigaction& now = dispositions[current.load(std::memory_order_acquire)];
  return {now.sa_handler, (now.sa_flags & SA_SIGINFO) != 0 ? now.sa_sigaction : nullptr,
          kernel_mask(now.sa_mask), now.sa_flags};
}

UDPCR_APART void reset_handler() {
  struct sigaction standard = disposition();
  standard.sa_handler = SIG_DFL;
  set_disposition(&standard, nullptr);
}

// All signals are blocked before and after; within, as the kernel would have
// it, but for ours, which stays open.
void call_handler(const Own& own, int signal, siginfo_t* info, ucontext_t& context) {
  const uint64_t bit = bit_of(signal);
  Wait* const wait = self.wait;
  const bool really_blocked = (kernel_mask(context.uc_sigmask) & bit) != 0;
  uint64_t mask = (wait != nullptr ? wait->mask : kernel_mask(context.uc_sigmask)) | own.mask;
  const bool within = self.blocked || (own.flags & SA_NODEFER) == 0 || (own.mask & bit) != 0;
  set_bit(context.uc_sigmask, bit, wait != nullptr ? wait->blocked_before : self.blocked);
  self.wait = nullptr;
  believe(within);
  mask &= ~bit;
  sys::set_signal_mask(SIG_SETMASK, &mask, nullptr);
  if (own.action != nullptr) {
    own.action(signal, info, &context);
  } else {
    own.handler(signal);
  }
  const KeepErrno keep;
  mask = ~uint64_t{0};
  sys::set_signal_mask(SIG_SETMASK, &mask, nullptr);
  // The program may have changed what it returns to.
  const bool after = (kernel_mask(context.uc_sigmask) & bit) != 0;
  self.wait = wait;
  if (wait != nullptr) wait->blocked_before = after;
  believe(wait == nullptr && after);
  set_bit(context.uc_sigmask, bit, self.held || (wait != nullptr && really_blocked));
}

// True: the program's handler was called.
bool deliver(int signal, siginfo_t* info, ucontext_t& context) {
  const Own own = own_now();
  if (own.handler == SIG_IGN) return false;
  if (own.handler == SIG_DFL) {
    do_default(signal);
    return false;
  }
  if ((own.flags & static_cast<int>(SA_RESETHAND)) != 0) reset_handler();
  call_handler(own, signal, info, context);
  return true;
}

// One that the program has sent and blocks.
UDPCR_APART void keep_for_later(int signal, siginfo_t& info, To to, ucontext_t& context) {
  const KeepErrno errno_before;
  if (!read_by_fd.load(std::memory_order_acquire) && keep(signal, info, to)) {
    if (to == To::process) poke_any(signal);
    return;
  }
  // In the kernel a signalfd finds it; and there is more room.
  self.held = true;
  set_bit(context.uc_sigmask, bit_of(signal), true);
  send_again(signal, info, to);
}

// What has waited and is for this thread now; of one that waits in a call the
// first, for then its mask is the old one again.
// `info` is used up, and is where the kernel has put one.
UDPCR_APART bool deliver_kept(int signal, siginfo_t* info, ucontext_t& context) {
  bool called = false;
  To to{};
  while (!self.blocked && !(called && self.wait != nullptr) && take(*info, to)) {
    if (deliver(signal, info, context)) called = true;
  }
  return called;
}

bool handle_own(int signal, siginfo_t* info, ucontext_t& context) {
  if (is_poke(*info)) return false;
  const To to = addressee(*info);
  if (!self.blocked) return deliver(signal, info, context);
  keep_for_later(signal, *info, to, context);
  return false;
}

bool is_keepers(const siginfo_t& info, uint32_t magic, uint32_t& epoch) {
  if (info.si_code != SI_QUEUE) return false;
  uint64_t value = 0;
  memcpy(&value, &info.si_value, sizeof value);
  epoch = static_cast<uint32_t>(value);
  return value >> 32 == magic;
}

// By kill(2) and its like, and from another process.  Timers, asynchronous
// input and the kernel's own reasons are the program's affair.
bool is_from_outside(const siginfo_t& info) {
  const bool sent = info.si_code == SI_USER || info.si_code == SI_QUEUE || info.si_code == SI_TKILL;
  return sent && info.si_pid != sys::getpid() && !is_sent_again(info);
}

// True: it was ours.
bool serve(const siginfo_t& info, bool& outside) {
  const KeepErrno keep;
  uint32_t epoch = 0;
  outside = false;
  if (is_keepers(info, wire::kSignalMagic, epoch)) {
    // One of an earlier checkpoint may come late.
    const wire::SharedPage* const page = channel::page();
    if (page != nullptr && __atomic_load_n(&page->epoch, __ATOMIC_SEQ_CST) == epoch) {
      checkpoint::take_part_if_freezing();
    }
    return true;
  }
  if (is_keepers(info, wire::kExchangeMagic, epoch)) {
    if (channel::is_open()) adopt::serve_exchange();
    return true;
  }
  outside = is_from_outside(info);
  // The child of vfork has our memory, and nothing to keep.
  if (outside && (is_own_process() || is_unnoticed_copy())) checkpoint::request();
  return outside;
}

// A system call that was broken off by this handler, and by no other that would
// run before the program goes on.
bool ended_a_call(const ucontext_t& context) {
#if defined(__x86_64__)
  return context.uc_mcontext.gregs[REG_RAX] == -EINTR;
#elif defined(__aarch64__)
  return static_cast<int64_t>(context.uc_mcontext.regs[0]) == -EINTR;
#else
  (void)context;
  return true;
#endif
}

void handle(int signal, siginfo_t* info, void* raw_context) {
  auto& context = *static_cast<ucontext_t*>(raw_context);
  bool outside = false;
  bool called = false;
  if (!serve(*info, outside)) {
    // The kernel does not queue the keeper's signal where another one waits.
    checkpoint::take_part_if_freezing();
    called = handle_own(signal, info, context);
  } else if (outside && chained) {
    // By default it would end the program: nobody wants that of a checkpoint.
    const bool wanted = self.blocked || own_now().handler != SIG_DFL;
    called = wanted && handle_own(signal, info, context);
  }
  if (!self.blocked && !(called && self.wait != nullptr) && is_any_kept()) {
    called = deliver_kept(signal, info, context) || called;
  }
  self.interrupted = !called && ended_a_call(context);
}

}  // namespace

// A program that asked for EINTR is used to it; all others never see it.  The
// alternate stack is used unless the program's handler is not to run there.
void install_handler(int signal) {
  const struct sigaction own = disposition();
  const bool wants_interruption = has_handler(own) && (own.sa_flags & SA_RESTART) == 0;
  const bool keeps_its_stack = has_handler(own) && (own.sa_flags & SA_ONSTACK) == 0;
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | (own.sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT));
  if (!keeps_its_stack) action.sa_flags |= SA_ONSTACK;
  if (!wants_interruption) action.sa_flags |= SA_RESTART;
  sigfillset(&action.sa_mask);
  libc().plain_sigaction(signal, &action, nullptr);
}

void install(int signal, bool chain) {
  chained = chain;
  // What the program has inherited, or an earlier constructor has set.
  libc().plain_sigaction(signal, nullptr, &dispositions[0]);
  uint64_t before = 0;
  sys::set_signal_mask(SIG_BLOCK, nullptr, &before);
  find_thread_id();
  enter_thread((before & bit_of(signal)) != 0);
  watched.store(signal, std::memory_order_release);
  install_handler(signal);
  open_in_kernel(signal);
}

int watched_signal() { return watched.load(std::memory_order_acquire); }

bool is_watched(int signal) {
  return signal != 0 && watched_signal() == signal && !children::settle();
}

bool is_ignored_by_program() { return disposition().sa_handler == SIG_IGN; }

void set_disposition(const struct sigaction* action, struct sigaction* old) {
  const Turn turn(changing);
  const unsigned now = current.load(std::memory_order_relaxed);
  const int signal = watched_signal();
  // The two may be the same object.
  const struct sigaction before = dispositions[now];
  if (action != nullptr) {
    struct sigaction& next = dispositions[1 - now];
    next = *action;
    // As the kernel and glibc read it back.
    sigdelset(&next.sa_mask, SIGKILL);
    sigdelset(&next.sa_mask, SIGSTOP);
#ifdef __x86_64__
    next.sa_flags |= 0x04000000;  // SA_RESTORER
#endif
    current.store(1 - now, std::memory_order_release);
    install_handler(signal);
    if (ignores(signal, next.sa_handler)) flush();
  }
  if (old != nullptr) *old = before;
}

bool is_blocked_by_program() { return self.blocked; }

void set_blocked_by_program(bool blocked) {
  if (self.slot == nullptr && is_own_process()) enter_thread(self.blocked);
  believe(blocked);
  if (blocked) return;
  const int signal = watched_signal();
  if (self.held) {
    self.held = false;
    open_in_kernel(signal);
  }
  if (!is_any_kept()) return;
  // They come before this returns, and their handler's errno stays.
  const BlockSignals all;
  const KeepErrno errno_before;
  poke_this(signal);
}

void send_own(siginfo_t& info, To to) {
  const int signal = watched_signal();
  // What is kept is not lost when the keeper's signal is there already.  The
  // handler's errno stays.
  const BlockSignals all;
  const KeepErrno errno_before;
  if (read_by_fd.load(std::memory_order_acquire) || !keep(signal, info, to)) {
    send_again(signal, info, to);
  } else if (to == To::process) {
    poke_any(signal);
  } else if (!self.blocked) {
    poke_this(signal);
  }
}

void hold_in_kernel() {
  read_by_fd.store(true, std::memory_order_release);
  if (!self.blocked || !is_any_kept()) return;
  const KeepErrno keep;
  const int signal = watched_signal();
  const uint64_t bit = bit_of(signal);
  sys::set_signal_mask(SIG_BLOCK, &bit, nullptr);
  self.held = true;
  const BlockSignals all;
  siginfo_t info;
  To to{};
  while (take(info, to)) send_again(signal, info, to);
}

void let_go_if_read() {
  if (!self.held) return;
  const KeepErrno keep;
  uint64_t pending = 0;
  syscall(SYS_rt_sigpending, &pending, sys::kSignalSetSize);
  if ((pending & bit_of(watched_signal())) != 0) return;
  self.held = false;
  open_in_kernel(watched_signal());
}

Got deal_with(siginfo_t& info) {
  bool outside = false;
  {
    const BlockSignals all;
    if (serve(info, outside)) return outside && chained ? Got::own : Got::checkpoint;
  }
  if (is_poke(info)) return Got::poke;
  addressee(info);
  return Got::own;
}

void renew_after_fork() {
  children::forget();
  changing.store(false, std::memory_order_relaxed);
  if (watched_signal() != 0) forget_other_threads();
}

int change_mask(ChangeMask change, int how, const sigset_t* set, sigset_t* old) {
  const int signal = watched_signal();
  if (signal == 0) return change(how, set, old);
  const bool before = self.blocked;
  const bool named = set != nullptr && sigismember(set, signal) == 1;
  const bool after = set == nullptr       ? before
                     : how == SIG_SETMASK ? named
                     : how == SIG_BLOCK   ? before || named
                                          : before && !named;
  if ((after != before || children::are_any()) && children::settle()) return change(how, set, old);
  let_go_if_read();
  sigset_t changed{};
  if (set != nullptr) {
    changed = *set;
    // Opening it in the kernel is always right.
    if (how != SIG_UNBLOCK && !(self.held && after)) sigdelset(&changed, signal);
  }
  const int result = change(how, set == nullptr ? nullptr : &changed, old);
  if (result != 0) return result;
  if (old != nullptr && before) sigaddset(old, signal);
  if (after != before || (!after && is_any_kept())) set_blocked_by_program(after);
  return 0;
}

}  // namespace udpcr::signals
