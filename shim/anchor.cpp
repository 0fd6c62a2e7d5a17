// SPDX-License-Identifier: LGPL-2.1-or-later
#include "anchor.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "system_call.h"

// glibc since 2.35: where the kernel writes for restartable sequences when it
// interrupts us, from the thread pointer on.
extern "C" {
extern const ptrdiff_t __rseq_offset __attribute__((weak));
}

namespace udpcr {

namespace {

// As large as any; the function that runs is smaller than one.
constexpr uintptr_t kPage = 65536;

struct Range {
  uintptr_t first;
  uintptr_t end;
};

[[gnu::always_inline]] inline Range pages_around(uintptr_t address) {
  const uintptr_t page = address & ~(kPage - 1);
  return {page < kPage ? 0 : page - kPage, page + 2 * kPage};
}

[[gnu::always_inline]] inline long unmap(uintptr_t first, uintptr_t end) {
  if (first >= end) return 0;
  return raw_system_call(SYS_munmap, static_cast<long>(first), static_cast<long>(end - first), 0, 0,
                         0, 0);
}

[[gnu::always_inline]] inline void order(Range& one, Range& other) {
  if (one.first <= other.first) return;
  const Range kept = one;
  one = other;
  other = kept;
}

}  // namespace

// From the unmapping on there is no libc, no stack protector, nothing but this
// function and its frame.
__attribute__((noinline, no_stack_protector)) void live_as_anchor() {
  syscall(SYS_setsid);
  syscall(SYS_close_range, 0U, ~0U, 0U);
  syscall(SYS_chdir, "/");
  syscall(SYS_prctl, PR_SET_NAME, "udpcr-anchor", 0, 0, 0);
  syscall(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);

  const ptrdiff_t* const offset = &__rseq_offset;
  const auto pointer = reinterpret_cast<uintptr_t>(__builtin_thread_pointer());
  Range code = pages_around(reinterpret_cast<uintptr_t>(&live_as_anchor));
  Range restartable = pages_around(pointer + (offset != nullptr ? *offset : 0));
  Range stack = pages_around(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
  order(code, restartable);
  order(restartable, stack);
  order(code, restartable);
  if constexpr (kNeedsNoLibc) {
    unmap(0, code.first);
    unmap(code.end, restartable.first);
    unmap(restartable.end, stack.first);
    // The end of the address space is the architecture's: refused beyond it.
    for (unsigned bits = 56; bits > 38 && unmap(stack.end, (uintptr_t{1} << bits) - kPage) != 0;) {
      --bits;
    }
  }

  long ended = 0;
  do {
    ended = raw_system_call(SYS_wait4, -1, 0, __WALL, 0, 0, 0);
  } while (ended >= 0);
  for (;;) raw_system_call(SYS_exit_group, 0, 0, 0, 0, 0, 0);
}

}  // namespace udpcr
