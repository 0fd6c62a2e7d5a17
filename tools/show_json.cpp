// SPDX-License-Identifier: LGPL-2.1-or-later
//
// An image as JSON.
#include <netinet/in.h>
#include <udpcr/udpcr_netlink.h>

#include <cstdio>

#include "json.hpp"
#include "show.hpp"

namespace udpcr::tool {
namespace {

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
      write_address(json, datagram.source);
      json.key("destination");
      write_address(json, datagram.destination);
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

void write_memberships(JsonWriter& json, const SocketRecord& record) {
  json.open('[');
  for (const Membership& member : record.memberships) {
    json.open('{');
    json.member("group", ip_text(member.group));
    json.member("interface", member.ifindex);
    json.member("device", member.device);
    json.member("kind", std::string(member.anycast                 ? "anycast"
                                    : member.mode == MCAST_INCLUDE ? "include"
                                                                   : "exclude"));
    json.key("sources");
    json.open('[');
    for (const Address& source : member.sources) json.value(ip_text(source));
    json.close(']');
    json.close('}');
  }
  json.close(']');
}

void write_owner(JsonWriter& json, const SocketRecord& record) {
  json.open('{');
  json.member("type", owner_kind(record.owner));
  json.member("pid", record.owner.pid);
  json.member("signal", record.owner.signal);
  json.close('}');
}

void write_interfaces(JsonWriter& json, const SocketRecord& record) {
  json.open('[');
  for (const Interface& interface : record.interfaces) {
    json.open('{');
    json.member("index", interface.index);
    json.member("name", interface.name);
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
  write_address(json, record.local);
  json.key("peer");
  write_address(json, record.peer);
  json.member("device", record.device);
  json.member("bound", (record.flags & UDPCR_SOCK_BOUND) != 0);
  json.member("bound_address", (record.flags & UDPCR_SOCK_BOUND_ADDR) != 0);
  json.member("bound_port", (record.flags & UDPCR_SOCK_BOUND_PORT) != 0);
  json.member("bound_known", (record.flags & UDPCR_SOCK_ORIGIN_KNOWN) != 0);
  json.member("netns", record.netns);
  json.key("interfaces");
  write_interfaces(json, record);
  json.member("uid", record.uid);
  json.member("cgroup", record.cgroup);
  json.member("label", record.label);
  if (record.reuseport_index) json.member("reuseport_index", *record.reuseport_index);
  json.key("owner");
  write_owner(json, record);
  json.member("timestamp_key", record.tskey);
  json.member("file_flags", record.file_flags);
  json.member("drops", record.drops);
  json.member("rmem", record.rmem);
  json.member("shutdown", record.shutdown);
  json.member("error", record.error);
  json.member("error_queue", record.error_count);
  json.member("corked_bytes", record.cork_length);
  json.member("held_aside", record.held_count);
  json.key("memberships");
  write_memberships(json, record);
  json.key("options");
  write_options(json, record);
  json.key("receive_queue");
  write(json, socket.receive_queue, queues);
  json.key("send_queue");
  write(json, socket.send_queue, queues);
  json.key("error_messages");
  write(json, socket.error_queue, queues);
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
