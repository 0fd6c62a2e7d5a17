// SPDX-License-Identifier: LGPL-2.1-or-later
#include "signal_children.h"

#include <atomic>

#include "checkpoint.h"
#include "fd_table.h"
#include "libc.h"
#include "signal_thread.h"
#include "signals.h"
#include "sys.h"

namespace udpcr::signals::children {

namespace {

constexpr int kMost = 16;
constinit std::atomic<pid_t> settled[kMost] = {};
constinit std::atomic<int> count = 0;

bool has_settled(pid_t process) {
  for (const std::atomic<pid_t>& one : settled) {
    if (one.load(std::memory_order_relaxed) == process) return true;
  }
  return false;
}

void add(pid_t process) {
  for (int round = 0; round < 2; ++round) {
    for (std::atomic<pid_t>& one : settled) {
      pid_t none = 0;
      if (one.compare_exchange_strong(none, process)) {
        count.fetch_add(1);
        return;
      }
    }
    // Those that have ended without an exec.
    for (std::atomic<pid_t>& one : settled) {
      pid_t gone = one.load(std::memory_order_relaxed);
      if (gone == 0 || syscall(SYS_kill, gone, 0) == 0 || errno != ESRCH) continue;
      if (one.compare_exchange_strong(gone, 0)) count.fetch_sub(1);
    }
  }
}

void remove(pid_t process) {
  for (std::atomic<pid_t>& one : settled) {
    pid_t there = process;
    if (one.compare_exchange_strong(there, 0)) count.fetch_sub(1);
  }
}

void set_in_kernel(bool blocked) {
  const uint64_t bit = bit_of(watched_signal());
  sys::set_signal_mask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &bit, nullptr);
}

// Was the program frozen while the signal was ignored?
void make_up_for_a_checkpoint() {
  const BlockSignals all;
  checkpoint::take_part_if_freezing();
}

}  // namespace

bool settle() {
  const int signal = watched_signal();
  if (signal == 0 || is_own_process()) return false;
  const pid_t process = sys::getpid();
  if (are_any() && has_settled(process)) return true;
  const KeepErrno keep;
  struct sigaction believed {};
  set_disposition(nullptr, &believed);
  libc().plain_sigaction(signal, &believed, nullptr);
  set_in_kernel(self.blocked);
  add(process);
  return true;
}

bool are_any() { return count.load(std::memory_order_relaxed) > 0; }

void forget() {
  for (std::atomic<pid_t>& one : settled) one.store(0, std::memory_order_relaxed);
  count.store(0, std::memory_order_relaxed);
}

Handover::Handover(Of of) {
  const int signal = watched_signal();
  if (signal == 0) return;
  const KeepErrno keep;
  child_ = settle();
  if (child_) {
    // The number may be another child's when it has become another program.
    if (of == Of::exec) remove(sys::getpid());
    child_ = of == Of::exec;
    return;
  }
  blocked_ = self.blocked && !self.held;
  if (blocked_) set_in_kernel(true);
  if (self.blocked && of == Of::exec && is_any_kept()) {
    const BlockSignals all;
    siginfo_t info;
    To to{};
    while (take(info, to)) send_again(signal, info, to);
  }
  ignored_ = is_ignored_by_program();
  if (!ignored_) return;
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  libc().plain_sigaction(signal, &ignore, nullptr);
}

Handover::~Handover() {
  const KeepErrno keep;
  if (child_) add(sys::getpid());
  if (ignored_) {
    install_handler(watched_signal());
    make_up_for_a_checkpoint();
  }
  if (blocked_) set_in_kernel(false);
}

}  // namespace udpcr::signals::children
