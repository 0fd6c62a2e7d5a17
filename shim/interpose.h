// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How an interposed function is defined: with C linkage and exported.  The
// names stand in exports.map and in tests/shim/exports.txt as well.
#pragma once

#define UDPCR_EXPORT extern "C" __attribute__((visibility("default")))

// Defines function `name` such that it has no frame of its own: `look`, a C
// function, is called with its arguments and returns where to jump,
// with all registers of arguments and the stack as they came.  For calls that
// return twice, or on another stack.
#if defined(__x86_64__)
#define UDPCR_EXPORT_JUMP(name, look)                                   \
  __asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name \
          ":\n"                                                         \
          ".cfi_startproc\n"                                            \
          "endbr64\n"                                                   \
          "push %rdi\n.cfi_adjust_cfa_offset 8\n"                       \
          "push %rsi\n.cfi_adjust_cfa_offset 8\n"                       \
          "push %rdx\n.cfi_adjust_cfa_offset 8\n"                       \
          "push %rcx\n.cfi_adjust_cfa_offset 8\n"                       \
          "push %r8\n.cfi_adjust_cfa_offset 8\n"                        \
          "push %r9\n.cfi_adjust_cfa_offset 8\n"                        \
          "sub $8, %rsp\n.cfi_adjust_cfa_offset 8\n"                    \
          "call " #look                                                 \
          "\n"                                                          \
          "add $8, %rsp\n.cfi_adjust_cfa_offset -8\n"                   \
          "pop %r9\n.cfi_adjust_cfa_offset -8\n"                        \
          "pop %r8\n.cfi_adjust_cfa_offset -8\n"                        \
          "pop %rcx\n.cfi_adjust_cfa_offset -8\n"                       \
          "pop %rdx\n.cfi_adjust_cfa_offset -8\n"                       \
          "pop %rsi\n.cfi_adjust_cfa_offset -8\n"                       \
          "pop %rdi\n.cfi_adjust_cfa_offset -8\n"                       \
          "jmp *%rax\n"                                                 \
          ".cfi_endproc\n"                                              \
          ".size " #name ", . - " #name "\n")
#elif defined(__aarch64__)
#define UDPCR_EXPORT_JUMP(name, look)                                   \
  __asm__(".text\n.globl " #name "\n.type " #name ", %function\n" #name \
          ":\n"                                                         \
          ".cfi_startproc\n"                                            \
          "hint #34\n"                                                  \
          "stp x0, x1, [sp, #-80]!\n"                                   \
          ".cfi_adjust_cfa_offset 80\n"                                 \
          "stp x2, x3, [sp, #16]\n"                                     \
          "stp x4, x5, [sp, #32]\n"                                     \
          "stp x6, x7, [sp, #48]\n"                                     \
          "str x30, [sp, #64]\n"                                        \
          "bl " #look                                                   \
          "\n"                                                          \
          "mov x16, x0\n"                                               \
          "ldr x30, [sp, #64]\n"                                        \
          "ldp x6, x7, [sp, #48]\n"                                     \
          "ldp x4, x5, [sp, #32]\n"                                     \
          "ldp x2, x3, [sp, #16]\n"                                     \
          "ldp x0, x1, [sp], #80\n"                                     \
          ".cfi_adjust_cfa_offset -80\n"                                \
          "br x16\n"                                                    \
          ".cfi_endproc\n"                                              \
          ".size " #name ", . - " #name "\n")
#endif
// What UDPCR_EXPORT_JUMP() calls.
#define UDPCR_LOOK extern "C" __attribute__((used, visibility("hidden"))) void*

// What UDPCR_EXPORT_JUMP(syscall) goes on to in the place of a close by number.
extern "C" long udpcr_close_by_number(long number, int fd);
