// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Strings without allocation: a line that is put together in a fixed buffer,
// cut at its end.  Safe in signal handlers.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>

namespace udpcr {

template <size_t capacity>
class Text {
 public:
  Text& operator<<(const char* text) {
    while (*text != '\0') put(*text++);
    return *this;
  }
  Text& operator<<(char character) {
    put(character);
    return *this;
  }
  template <typename Integer>
  requires std::is_integral_v<Integer> Text& operator<<(Integer number) {
    uint64_t rest = static_cast<uint64_t>(number);
    if constexpr (std::is_signed_v<Integer>) {
      if (number < 0) {
        put('-');
        rest = ~rest + 1;
      }
    }
    char digits[20];
    size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    while (count > 0) put(digits[--count]);
    return *this;
  }

  [[nodiscard]] const char* c_str() const { return buffer_; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool was_cut() const { return cut_; }

 private:
  void put(char character) {
    if (size_ + 1 >= capacity) {
      cut_ = true;
      return;
    }
    buffer_[size_++] = character;
    buffer_[size_] = '\0';
  }

  char buffer_[capacity] = {};
  size_t size_ = 0;
  bool cut_ = false;
};

// Long enough for a sentence with a path cut to a readable length; short
// enough for a handler's stack.
using Line = Text<768>;

// A decimal number that ends with the text; false where it is none or above `most`.
inline bool parse_number(const char* text, uint64_t most, uint64_t& number) {
  if (*text == '\0') return false;
  uint64_t value = 0;
  for (; *text != '\0'; ++text) {
    if (*text < '0' || *text > '9') return false;
    value = value * 10 + static_cast<uint64_t>(*text - '0');
    if (value > most) return false;
  }
  number = value;
  return true;
}

inline const char* base_name(const char* path) {
  const char* const slash = strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

}  // namespace udpcr
