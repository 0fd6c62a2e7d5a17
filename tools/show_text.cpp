// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The words that both forms of `udpcr show` use.
#include <fcntl.h>
#include <netinet/in.h>

#include <array>
#include <cstdio>
#include <ctime>

#include "options.hpp"
#include "show.hpp"

namespace udpcr::tool {

std::string option_label(const SocketOption& option) {
  std::string name = option_name(option.level, option.name);
  if (name != "option") return name;
  return "level " + std::to_string(option.level) + " option " + std::to_string(option.name);
}

std::string utc_time(std::uint64_t nanoseconds) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  const auto seconds = static_cast<std::time_t>(nanoseconds / kSecond);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[80];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(nanoseconds % kSecond));
  return text;
}

std::string owner_kind(const FileOwner& owner) {
  if (owner.pid == 0) return "nobody";
  if (owner.type == F_OWNER_TID) return "thread";
  return owner.type == F_OWNER_PGRP ? "group" : "process";
}

std::string protocol_name(std::uint16_t protocol) {
  return protocol == IPPROTO_UDPLITE ? "udplite" : "udp";
}

std::size_t utf8_length(const std::string& text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first < 0xc2   ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  const unsigned second = byte(1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90)) {
    return 0;
  }
  return length;
}

std::string printable(const std::string& text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    const auto first = static_cast<unsigned char>(text[at]);
    // U+0080 to U+009F are control characters too.
    const bool control =
        first < 0x20 || first == 0x7f ||
        (length == 2 && first == 0xc2 && static_cast<unsigned char>(text[at + 1]) < 0xa0);
    const std::size_t taken = length == 0 ? 1 : length;
    if (length == 0 || control) {
      for (std::size_t i = 0; i < taken; ++i) {
        char escape[8];
        std::snprintf(escape, sizeof escape, "\\x%02x",
                      static_cast<unsigned>(static_cast<unsigned char>(text[at + i])));
        result += escape;
      }
    } else {
      result.append(text, at, taken);
    }
    at += taken;
  }
  return result;
}

}  // namespace udpcr::tool
