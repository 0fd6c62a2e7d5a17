// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Children that do not come by fork(3), which calls us by itself: those with a
// copy of our memory get a channel of their own as well.
#include <sched.h>
#include <stdarg.h>
#include <sys/types.h>

#include "fork.h"
#include "interpose.h"
#include "libc.h"

using udpcr::libc;

namespace {

struct Child {
  int (*function)(void*);
  void* argument;
};

int begin_and_run(void* argument) {
  const Child child = *static_cast<Child*>(argument);
  udpcr::begin_raw_child();
  return child.function(child.argument);
}

}  // namespace

UDPCR_EXPORT pid_t _Fork() noexcept {
  const pid_t pid = libc().fork_alone();
  if (pid == 0) udpcr::begin_child();
  return pid;
}

UDPCR_EXPORT int clone(int (*function)(void*), void* stack, int flags, void* argument,
                       ...) noexcept {
  va_list rest;
  va_start(rest, argument);
  void* more[3];
  for (void*& one : more) one = va_arg(rest, void*);
  va_end(rest);
  // Threads, and children like those of vfork.
  if ((flags & CLONE_VM) != 0 || function == nullptr) {
    return libc().clone(function, stack, flags, argument, more[0], more[1], more[2]);
  }
  Child child{function, argument};
  return libc().clone(begin_and_run, stack, flags, &child, more[0], more[1], more[2]);
}
