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
  if (!channel::is_open()) return;
  channel::renew_after_fork();
  // Forked while the program is being frozen: this thread was never signalled.
  const wire::SharedPage* const page = channel::page();
  wire::PageState state{};
  __atomic_load(&page->state, &state, __ATOMIC_SEQ_CST);
  if (state == wire::PageState::freezing) {
    checkpoint::take_part(__atomic_load_n(&page->epoch, __ATOMIC_SEQ_CST));
  }
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

void watch_forks() { pthread_atfork(nullptr, nullptr, begin_child); }

}  // namespace udpcr
