// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cerrno>
#include <initializer_list>

#include "network.hpp"
#include "talk.hpp"

namespace udpcr::test {

// Empty when `answer` is the error with a sentence that holds each of `words`
// (values, names); else what is wrong.
inline std::string unlike(const Answer& answer, int error,
                          std::initializer_list<std::string> words = {}) {
  if (answer.error != error) {
    Answer wanted;
    wanted.error = error;
    return "got " + to_string(answer) + ", wanted " + to_string(wanted);
  }
  if (answer.sentence.empty()) return to_string(answer) + "(no sentence)";
  for (const std::string& word : words) {
    if (answer.sentence.find(word) == std::string::npos) {
      return to_string(answer) + " does not name " + word;
    }
  }
  return "";
}

// For children, where Catch's macros do not help.
inline void demand_like(const Answer& answer, int error,
                        std::initializer_list<std::string> words = {}) {
  const std::string wrong = unlike(answer, error, words);
  demand(wrong.empty(), wrong);
}

}  // namespace udpcr::test
