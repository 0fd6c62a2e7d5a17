// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Text without stdio, which may lock and allocate.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace udpcr {

inline size_t text_length(const char* text) {
  size_t length = 0;
  while (text[length] != '\0') ++length;
  return length;
}

inline bool text_equal(const char* left, const char* right) {
  while (*left != '\0' && *left == *right) {
    ++left;
    ++right;
  }
  return *left == *right;
}

// The part behind `prefix`; nullptr when `text` does not start with it.
inline const char* text_after(const char* text, const char* prefix) {
  for (; *prefix != '\0'; ++text, ++prefix) {
    if (*text != *prefix) return nullptr;
  }
  return text;
}

// All of `text` as a decimal number; false when it is none or is beyond `most`.
inline bool text_number(const char* text, uint64_t most, uint64_t& number) {
  if (*text == '\0') return false;
  uint64_t value = 0;
  for (; *text != '\0'; ++text) {
    if (*text < '0' || *text > '9') return false;
    const auto digit = static_cast<uint64_t>(*text - '0');
    if (value > (most - digit) / 10) return false;
    value = value * 10 + digit;
  }
  number = value;
  return true;
}

// A line put together in a fixed buffer; what does not fit is cut.
template <size_t Size>
class Text {
 public:
  Text() { buffer_[0] = '\0'; }
  Text& operator<<(const char* text) {
    while (*text != '\0' && length_ + 1 < Size) buffer_[length_++] = *text++;
    cut_ = cut_ || *text != '\0';
    buffer_[length_] = '\0';
    return *this;
  }
  Text& operator<<(int64_t number) {
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    uint64_t rest = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    do {
      digits[--at] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    if (number < 0) digits[--at] = '-';
    return *this << digits + at;
  }
  Text& operator<<(int number) { return *this << static_cast<int64_t>(number); }
  Text& operator<<(unsigned number) { return *this << static_cast<int64_t>(number); }

  [[nodiscard]] const char* c_str() const { return buffer_; }
  [[nodiscard]] size_t length() const { return length_; }
  [[nodiscard]] bool cut() const { return cut_; }

 private:
  char buffer_[Size];
  size_t length_ = 0;
  bool cut_ = false;
};

}  // namespace udpcr
