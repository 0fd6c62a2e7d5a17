// SPDX-License-Identifier: LGPL-2.1-or-later
#include "json.hpp"

#include <arpa/inet.h>

#include <cstdio>

#include "show.hpp"

namespace udpcr::tool {

void JsonWriter::quote(const std::string& text) {
  text_ += '"';
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    const auto first = static_cast<unsigned char>(text[at]);
    if (length == 0) {
      text_ += "\\ufffd";
    } else if (first == '"' || first == '\\') {
      text_ += '\\';
      text_ += text[at];
    } else if (first < 0x20 || first == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(first));
      text_ += escape;
    } else {
      text_.append(text, at, length);
    }
    at += length == 0 ? 1 : length;
  }
  text_ += '"';
}

std::string ip_text(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.family, address.bytes, text, sizeof text);
  return text;
}

void write_address(JsonWriter& json, const std::optional<Address>& address) {
  if (!address || (address->family != AF_INET && address->family != AF_INET6)) {
    json.null();
    return;
  }
  json.open('{');
  json.member("address", ip_text(*address));
  json.member("port", address->port);
  if (address->scope != 0) json.member("scope", address->scope);
  json.close('}');
}

}  // namespace udpcr::tool
