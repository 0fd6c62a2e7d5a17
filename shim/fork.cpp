// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fork.h"

#include <pthread.h>

#include "adopt.h"
#include "channel.h"
#include "checkpoint.h"
#include "joined_groups.h"
#include "recorded_options.h"
#include "session.h"
#include "signal_thread.h"
#include "signals.h"
#include "sys.h"

namespace udpcr {

namespace {

void note_shared_sockets() {
  if (!adopt::is_pending()) return;
  fd_table.each([](int, FdSlot& slot) {
    slot.flags.fetch_or(kFdForked, std::memory_order_relaxed);
    return true;
  });
}

void become_child() {
  const KeepErrno keep;
  const BlockSignals blocked;
  if (!become_own_process()) return;
  signals::renew_after_fork();
  checkpoint::forget_what_was_sent();
  // A thread that had its turn does not exist here.
  adopt::reset_turn();
  recorded_options::reset_turn();
  joined_groups::reset_turn();
  session::begin_child();
  note_shared_sockets();
  if (!channel::is_open()) return;
  channel::renew_after_fork();
  // Forked while the program is being frozen: this thread was never signalled.
  checkpoint::take_part_if_freezing();
}

}  // namespace

void begin_child() {
  become_child();
  // What waited in the kernel is not the child's.
  signals::let_go_if_read();
}

void begin_raw_child() {
  signals::find_thread_id();
  begin_child();
}

void watch_forks() { pthread_atfork(nullptr, note_shared_sockets, begin_child); }

}  // namespace udpcr
