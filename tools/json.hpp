// SPDX-License-Identifier: LGPL-2.1-or-later
//
// JSON (RFC 8259), indented.  Byte strings that are no UTF-8 show U+FFFD for
// each byte that does not fit.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <udpcr/udpcr.hpp>

namespace udpcr::tool {

class JsonWriter {
 public:
  void open(char bracket) {
    separate();
    text_ += bracket;
    first_ = true;
    ++depth_;
  }
  void close(char bracket) {
    --depth_;
    if (!first_) new_line();
    text_ += bracket;
    first_ = false;
  }
  void key(const char* name) {
    separate();
    quote(name);
    text_ += ": ";
    after_key_ = true;
  }
  void value(const std::string& text) {
    separate();
    quote(text);
  }
  void value(bool truth) {
    separate();
    text_ += truth ? "true" : "false";
  }
  template <std::integral T>
  requires(!std::same_as<T, bool>) void value(T number) {
    separate();
    text_ += std::to_string(number);
  }
  void null() {
    separate();
    text_ += "null";
  }
  template <typename T>
  void member(const char* name, const T& of) {
    key(name);
    value(of);
  }
  [[nodiscard]] std::string take() { return std::move(text_) + "\n"; }

 private:
  void separate() {
    if (after_key_) {
      after_key_ = false;
      return;
    }
    if (!first_) text_ += ',';
    if (depth_ > 0) new_line();
    first_ = false;
  }
  void new_line() { text_ += "\n" + std::string(2 * depth_, ' '); }

  void quote(const std::string& text);

  std::string text_;
  std::size_t depth_ = 0;
  bool first_ = true;
  bool after_key_ = false;
};

// {"address": ..., "port": ...}, or null.
void write_address(JsonWriter& json, const std::optional<Address>& address);

// Without port and scope.
std::string ip_text(const Address& address);

}  // namespace udpcr::tool
