// SPDX-License-Identifier: LGPL-2.1-or-later
//
// New threads inherit what their maker believes of the checkpoint signal; and
// jumps out of a handler, which put back what was believed when they were made
// ready.
#include <setjmp.h>
#include <string.h>

#include "interpose.h"
#include "libc.h"
#include "signal_thread.h"
#include "signals.h"
#include "sys.h"

using udpcr::libc;
namespace signals = udpcr::signals;

namespace {

// From the maker to the new thread, which copies it at once.
struct Start {
  void* (*routine)(void*);
  int (*c_routine)(void*);
  void* argument;
  std::atomic<bool> taken;
  bool blocked;
};
constexpr unsigned kStarts = 64;
constinit Start starts[kStarts] = {};

Start& take_start() {
  const udpcr::KeepErrno keep;
  for (;; udpcr::syscall(SYS_sched_yield)) {
    for (Start& start : starts) {
      if (!start.taken.exchange(true, std::memory_order_acquire)) return start;
    }
  }
}

void give_back(Start& start) { start.taken.store(false, std::memory_order_release); }

void begin_thread(bool blocked) {
  signals::enter_thread(blocked);
  // By pthread_attr_setsigmask_np.
  const uint64_t bit = signals::bit_of(signals::watched_signal());
  const udpcr::KeepErrno keep;
  uint64_t mask = 0;
  udpcr::sys::set_signal_mask(SIG_BLOCK, nullptr, &mask);
  if ((mask & bit) != 0) udpcr::sys::set_signal_mask(SIG_UNBLOCK, &bit, nullptr);
}

void* run(void* raw) {
  auto& start = *static_cast<Start*>(raw);
  void* (*const routine)(void*) = start.routine;
  void* const argument = start.argument;
  const bool blocked = start.blocked;
  give_back(start);
  begin_thread(blocked);
  void* const result = routine(argument);
  signals::leave_thread();
  return result;
}

int run_c(void* raw) {
  auto& start = *static_cast<Start*>(raw);
  int (*const routine)(void*) = start.c_routine;
  void* const argument = start.argument;
  const bool blocked = start.blocked;
  give_back(start);
  begin_thread(blocked);
  const int result = routine(argument);
  signals::leave_thread();
  return result;
}

bool is_to_be_blocked(const pthread_attr_t* attributes) {
  sigset_t mask;
  if (attributes == nullptr || pthread_attr_getsigmask_np(attributes, &mask) != 0) {
    return signals::is_blocked_by_program();
  }
  return sigismember(&mask, signals::watched_signal()) == 1;
}

}  // namespace

UDPCR_EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                                void* (*routine)(void*), void* argument) noexcept {
  if (signals::watched_signal() == 0) {
    return libc().pthread_create(thread, attributes, routine, argument);
  }
  Start& start = take_start();
  start.routine = routine;
  start.argument = argument;
  start.blocked = is_to_be_blocked(attributes);
  const int error = libc().pthread_create(thread, attributes, run, &start);
  if (error != 0) give_back(start);
  return error;
}

UDPCR_EXPORT int thrd_create(thrd_t* thread, thrd_start_t routine, void* argument) {
  if (signals::watched_signal() == 0) {
    return libc().thrd_create(thread, routine, argument);
  }
  Start& start = take_start();
  start.c_routine = routine;
  start.argument = argument;
  start.blocked = signals::is_blocked_by_program();
  const int result = libc().thrd_create(thread, run_c, &start);
  if (result != thrd_success) give_back(start);
  return result;
}
