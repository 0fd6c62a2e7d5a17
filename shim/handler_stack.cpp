// SPDX-License-Identifier: LGPL-2.1-or-later
#include "handler_stack.h"

#include <stddef.h>

#include <atomic>

namespace udpcr::handler_stack {

namespace {

constexpr size_t kSize = size_t{16} * 1024;
alignas(16) constinit unsigned char stack[kSize] = {};
constinit std::atomic<bool> taken = false;

}  // namespace

extern "C" void udpcr_switch_stack(void (*work)(void*), void* argument, void* top);

#if defined(__x86_64__)
__asm__(R"(
  .text
  .hidden udpcr_switch_stack
  .globl udpcr_switch_stack
  .type udpcr_switch_stack, @function
udpcr_switch_stack:
  .cfi_startproc
  endbr64
  push %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  mov %rsp, %rbp
  .cfi_def_cfa_register %rbp
  mov %rdi, %rax
  mov %rsi, %rdi
  mov %rdx, %rsp
  call *%rax
  mov %rbp, %rsp
  pop %rbp
  .cfi_def_cfa %rsp, 8
  ret
  .cfi_endproc
  .size udpcr_switch_stack, . - udpcr_switch_stack
)");
#elif defined(__aarch64__)
__asm__(R"(
  .text
  .hidden udpcr_switch_stack
  .globl udpcr_switch_stack
  .type udpcr_switch_stack, %function
udpcr_switch_stack:
  .cfi_startproc
  hint #34
  stp x29, x30, [sp, #-16]!
  .cfi_def_cfa_offset 16
  .cfi_offset x29, -16
  .cfi_offset x30, -8
  mov x29, sp
  .cfi_def_cfa_register x29
  mov x9, x0
  mov x0, x1
  mov sp, x2
  blr x9
  mov sp, x29
  ldp x29, x30, [sp], #16
  .cfi_def_cfa sp, 0
  ret
  .cfi_endproc
  .size udpcr_switch_stack, . - udpcr_switch_stack
)");
#else
extern "C" __attribute__((visibility("hidden"))) void udpcr_switch_stack(void (*work)(void*),
                                                                         void* argument, void*) {
  work(argument);
}
#endif

bool run(void (*work)(void*), void* argument) {
  if (taken.exchange(true, std::memory_order_acquire)) return false;
  udpcr_switch_stack(work, argument, stack + kSize);
  taken.store(false, std::memory_order_release);
  return true;
}

void reset() { taken.store(false, std::memory_order_relaxed); }

}  // namespace udpcr::handler_stack
