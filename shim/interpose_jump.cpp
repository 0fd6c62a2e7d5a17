// SPDX-License-Identifier: LGPL-2.1-or-later
//
// sigsetjmp saves the kernel's signal mask, in which the checkpoint signal is
// always open.  What the program believes goes into the same buffer, behind it,
// and siglongjmp puts it back.
#include <setjmp.h>
#include <string.h>

#include "interpose.h"
#include "libc.h"
#include "signal_thread.h"
#include "signals.h"

using udpcr::libc;
namespace signals = udpcr::signals;

namespace {

// The last word of the saved mask: the kernel fills the first, x86 the second
// (its shadow stack).
constexpr size_t kWord = sizeof(sigset_t) / sizeof(uint64_t) - 1;
constexpr uint64_t kBlocked = 0x7564706362303031;  // "udpcb001"
constexpr uint64_t kOpen = 0x7564706362303030;

void put_back(__jmp_buf_tag* buffer) {
  const int signal = signals::watched_signal();
  if (signal == 0) return;
  // The call that waited is left.
  signals::self.wait = nullptr;
  if (buffer->__mask_was_saved == 0) return;
  uint64_t words[kWord + 1];
  memcpy(words, &buffer->__saved_mask, sizeof words);
  if (words[kWord] != kBlocked && words[kWord] != kOpen) return;
  const bool blocked = words[kWord] == kBlocked;
  if (!signals::self.held || !blocked) sigdelset(&buffer->__saved_mask, signal);
  signals::set_blocked_by_program(blocked);
}

}  // namespace

// A buffer that is to hold no mask may be shorter (pthread_cleanup_push).
UDPCR_LOOK udpcr_note_jump(__jmp_buf_tag* buffer, int save_mask) {
  if (save_mask != 0 && signals::watched_signal() != 0) {
    const uint64_t mark = signals::is_blocked_by_program() ? kBlocked : kOpen;
    memcpy(reinterpret_cast<char*>(&buffer->__saved_mask) + kWord * sizeof mark, &mark,
           sizeof mark);
  }
  return reinterpret_cast<void*>(libc().__sigsetjmp);
}

UDPCR_EXPORT_JUMP(__sigsetjmp, udpcr_note_jump);

UDPCR_EXPORT void siglongjmp(sigjmp_buf buffer, int value) noexcept {
  put_back(buffer);
  libc().siglongjmp(buffer, value);
  __builtin_unreachable();
}

UDPCR_EXPORT void longjmp(jmp_buf buffer, int value) noexcept {
  put_back(buffer);
  libc().longjmp(buffer, value);
  __builtin_unreachable();
}

UDPCR_EXPORT void _longjmp(jmp_buf buffer, int value) noexcept {
  put_back(buffer);
  libc()._longjmp(buffer, value);
  __builtin_unreachable();
}

// Of programs built with _FORTIFY_SOURCE.
UDPCR_EXPORT void __longjmp_chk(jmp_buf buffer, int value) noexcept {
  put_back(buffer);
  libc().__longjmp_chk(buffer, value);
  __builtin_unreachable();
}
