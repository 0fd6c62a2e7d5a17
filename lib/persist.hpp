// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Calls whose failure may say nothing about what they were asked of: a signal
// came, or the machine was short of memory for a moment.  Such a call is made
// again, a bounded number of times.
#pragma once

#include <time.h>

#include <cerrno>

namespace udpcr {

// A failure that says nothing of the socket or file that was looked at.
inline bool is_passing(int error_number) noexcept {
  return error_number == EINTR || error_number == ENOMEM || error_number == ENOBUFS ||
         error_number == EAGAIN || error_number == EBUSY;
}

// Makes the call until it gives something else than -1 or its errno is no
// passing one; after 15 ms at most it is given up.  errno is that of the last
// try.
template <typename Call>
auto persist(Call call) noexcept(noexcept(call())) {
  constexpr int kPauses = 4;
  auto result = call();
  for (int pause = 0; result < 0 && is_passing(errno) && pause < kPauses; ++pause) {
    const timespec wait{0, 1'000'000L << pause};
    nanosleep(&wait, nullptr);
    result = call();
  }
  return result;
}

}  // namespace udpcr
