// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sentences for errors.
#pragma once

#include <cstring>
#include <udpcr/udpcr.hpp>

namespace udpcr {

inline std::string errno_text(int number) {
  char buffer[128];
  return ::strerror_r(number, buffer, sizeof buffer);
}

// "cannot WHAT: TEXT OF ERRNO; REMEDY"
[[noreturn]] inline void fail(const std::string& what, int number, const std::string& remedy) {
  throw Error("cannot " + what + ": " + errno_text(number) + (remedy.empty() ? "" : "; " + remedy),
              number);
}

}  // namespace udpcr
