// SPDX-License-Identifier: LGPL-2.1-or-later
//
// An image as JSON (RFC 8259).  Byte strings that are no UTF-8 show U+FFFD for
// each byte that does not fit.
#include <arpa/inet.h>
#include <udpcr/udpcr_netlink.h>

#include <concepts>
#include <cstdio>

#include "show.hpp"

namespace udpcr::tool {
namespace {

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

  void quote(const std::string& text) {
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

  std::string text_;
  std::size_t depth_ = 0;
  bool first_ = true;
  bool after_key_ = false;
};

void write(JsonWriter& json, const std::optional<Address>& address) {
  if (!address || (address->family != AF_INET && address->family != AF_INET6)) {
    json.null();
    return;
  }
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address->family, address->bytes, text, sizeof text);
  json.open('{');
  json.member("address", std::string(text));
  json.member("port", address->port);
  if (address->scope != 0) json.member("scope", address->scope);
  json.close('}');
}

void write(JsonWriter& json, const std::vector<Loss>& losses) {
  json.open('[');
  for (const Loss& loss : losses) {
    json.open('{');
    json.member("what", loss.what);
    json.member("why", loss.why);
    json.member("remedy", loss.remedy);
    json.close('}');
  }
  json.close(']');
}

void write(JsonWriter& json, const ShownQueue& queue, bool list) {
  json.open('{');
  json.member("datagrams", queue.datagrams);
  json.member("bytes", queue.bytes);
  if (list) {
    json.key("list");
    json.open('[');
    for (const ShownDatagram& datagram : queue.listed) {
      json.open('{');
      json.key("source");
      write(json, datagram.source);
      json.key("destination");
      write(json, datagram.destination);
      json.member("size", datagram.size);
      json.close('}');
    }
    json.close(']');
  }
  json.close('}');
}

std::string hexadecimal(const Bytes& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    char digits[4];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(byte));
    text += digits;
  }
  return text;
}

void write_options(JsonWriter& json, const SocketRecord& record) {
  json.open('[');
  for (const SocketOption& option : record.options) {
    json.open('{');
    json.member("option", option_label(option));
    json.member("level", option.level);
    json.member("name", option.name);
    json.member("value_hex", hexadecimal(option.value));
    json.close('}');
  }
  json.close(']');
}

void write_socket(JsonWriter& json, const ShownSocket& socket, const std::vector<Loss>& losses,
                  bool queues) {
  const SocketRecord& record = socket.record;
  json.open('{');
  json.key("fds");
  json.open('[');
  for (const auto& [pid, number] : socket.fds) {
    json.open('{');
    json.member("pid", pid);
    json.member("fd", number);
    json.close('}');
  }
  json.close(']');
  json.member("inode", record.inode);
  json.member("cookie", record.cookie);
  json.member("protocol", protocol_name(record.protocol));
  json.member("family", std::string(record.family == AF_INET ? "IPv4" : "IPv6"));
  json.key("local");
  write(json, record.local);
  json.key("peer");
  write(json, record.peer);
  json.member("device", record.device);
  json.member("bound", (record.flags & UDPCR_SOCK_BOUND) != 0);
  json.member("bound_address", (record.flags & UDPCR_SOCK_BOUND_ADDR) != 0);
  json.member("bound_port", (record.flags & UDPCR_SOCK_BOUND_PORT) != 0);
  json.member("bound_known", (record.flags & UDPCR_SOCK_ORIGIN_KNOWN) != 0);
  json.member("uid", record.uid);
  json.member("file_flags", record.file_flags);
  json.member("drops", record.drops);
  json.member("rmem", record.rmem);
  json.key("options");
  write_options(json, record);
  json.key("receive_queue");
  write(json, socket.receive_queue, queues);
  json.key("send_queue");
  write(json, socket.send_queue, queues);
  json.key("losses");
  write(json, losses);
  json.close('}');
}

}  // namespace

std::string show_json(const Shown& shown) {
  const Image& image = shown.image;
  JsonWriter json;
  json.open('{');
  json.member("image", shown.path);
  json.member("executable", image.executable);
  json.key("arguments");
  json.open('[');
  for (const std::string& argument : image.arguments) json.value(argument);
  json.close(']');
  json.member("arguments_cut", image.full_arguments_hash.has_value());
  json.member("host", image.host);
  json.member("kernel", image.kernel);
  json.member("boot_id", image.boot_id);
  json.member("engine", image.engine);
  json.member("created", utc_time(image.created));
  json.member("created_ns", image.created);
  json.key("processes");
  json.open('[');
  for (const ImageProcess& process : image.processes) json.value(process.pid);
  json.close(']');
  json.key("sockets");
  json.open('[');
  for (std::size_t i = 0; i < shown.sockets.size(); ++i) {
    write_socket(json, shown.sockets[i], image.sockets[i].losses, shown.queues);
  }
  json.close(']');
  json.key("losses");
  write(json, image.losses);
  json.key("unknown_attributes");
  json.open('[');
  for (const std::uint16_t number : shown.unknown) json.value(number);
  json.close(']');
  json.close('}');
  return json.take();
}

}  // namespace udpcr::tool
