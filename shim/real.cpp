// SPDX-License-Identifier: LGPL-2.1-or-later
#include "real.h"

#include <dlfcn.h>
#include <errno.h>

#include <atomic>

namespace udpcr {

namespace {

RealFunctions functions;
std::atomic<bool> bound;

int not_there() {
  errno = ENOSYS;
  return -1;
}

template <typename Function>
void bind_one(Function*& target, const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  target =
      reinterpret_cast<Function*>(found != nullptr ? found : reinterpret_cast<void*>(not_there));
}

}  // namespace

const RealFunctions& real() {
  // Two threads that come here at once write the same values.
  if (!bound.load(std::memory_order_acquire)) {
    const int saved = errno;
#define UDPCR_BIND(result, name, parameters) bind_one(functions.name, #name);
    UDPCR_REAL_FUNCTIONS(UDPCR_BIND)
#undef UDPCR_BIND
    bound.store(true, std::memory_order_release);
    errno = saved;
  }
  return functions;
}

}  // namespace udpcr
