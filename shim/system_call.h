// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The system call itself.  syscall(2) is one of the calls that we interpose:
// inside this namespace its name means this, which goes to the kernel at once.
#pragma once

#include <errno.h>
#include <unistd.h>

#include <type_traits>

namespace udpcr {

#if (defined(__x86_64__) && !defined(__ILP32__)) || defined(__aarch64__)
constexpr bool kNeedsNoLibc = true;
#else
constexpr bool kNeedsNoLibc = false;
#endif

// What the kernel returns: -errno when it fails.  Touches no memory of its own.
[[gnu::always_inline]] inline long raw_system_call(long number, long one, long two, long three,
                                                   long four, long five, long six) {
#if defined(__x86_64__) && !defined(__ILP32__)
  register long r10 asm("r10") = four;
  register long r8 asm("r8") = five;
  register long r9 asm("r9") = six;
  long result = 0;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(one), "S"(two), "d"(three), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = one;
  register long x1 asm("x1") = two;
  register long x2 asm("x2") = three;
  register long x3 asm("x3") = four;
  register long x4 asm("x4") = five;
  register long x5 asm("x5") = six;
  asm volatile("svc 0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory");
  return x0;
#else
  // Through libc, and so through what we interpose, which passes it on.
  const int before = errno;
  const long result = ::syscall(number, one, two, three, four, five, six);
  const long answer = result == -1 ? -errno : result;
  errno = before;
  return answer;
#endif
}

template <typename Argument>
[[gnu::always_inline]] inline long system_call_word(Argument argument) {
  if constexpr (std::is_null_pointer_v<Argument>) {
    return 0;
  } else if constexpr (std::is_pointer_v<Argument>) {
    return reinterpret_cast<long>(argument);
  } else {
    return static_cast<long>(argument);
  }
}

// The same, as a call of which the compiler knows nothing: a signal that it
// lets in, or sends, changes what it likes.
long system_call(long number, long one, long two, long three, long four, long five, long six);

// As libc's: -1 with errno.
template <typename... Arguments>
inline long syscall(long number, Arguments... arguments) {
  static_assert(sizeof...(arguments) <= 6);
  const long words[6] = {system_call_word(arguments)...};
  const long result =
      system_call(number, words[0], words[1], words[2], words[3], words[4], words[5]);
  if (static_cast<unsigned long>(result) < -4095UL) return result;
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace udpcr
