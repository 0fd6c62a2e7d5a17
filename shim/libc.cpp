// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libc.h"

#include <dlfcn.h>

#include "sys.h"

namespace udpcr::libc_internal {

constinit Libc table = {};
constinit std::atomic<bool> bound = false;

namespace {

template <typename Function>
void find(Function& function, const char* name) {
  function = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// Two threads that come here at once write the same.
void bind_table() {
  const KeepErrno keep;
#define UDPCR_FIND(name) find(table.name, #name);
  UDPCR_INTERPOSED(UDPCR_FIND)
#undef UDPCR_FIND
  find(table.plain_sigaction, "__sigaction");
  find(table.fork_alone, "_Fork");
  if (table.plain_sigaction == nullptr) table.plain_sigaction = table.sigaction;
  bound.store(true, std::memory_order_release);
}

}  // namespace udpcr::libc_internal
