// SPDX-License-Identifier: LGPL-2.1-or-later
#include "json.hpp"
#include "list.hpp"
#include "show.hpp"

namespace udpcr::tool {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

template <typename T>
void member_or_null(JsonWriter& json, const char* name, const std::optional<T>& value) {
  json.key(name);
  if (value) {
    json.value(*value);
  } else {
    json.null();
  }
}

std::optional<std::string> text_or_nothing(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

void write_park(JsonWriter& json, const keeper::ParkedSocket& park, const Listing& listing) {
  std::optional<std::uint64_t> since;  // seconds of the Epoch
  if (park.since) since = (listing.realtime - (listing.boottime - *park.since)) / kSecond;
  json.open('{');
  json.member("holder", std::string(park.holder == 0 ? "module" : "keeper"));
  member_or_null(json, "holder_pid", park.holder == 0 ? std::nullopt : std::optional(park.holder));
  json.member("uid", park.record.uid);
  json.member("fd", park.key.number);
  json.member("pid", park.key.pid);
  json.member("seconds", park.seconds);
  member_or_null(json, "since", since);
  member_or_null(json, "expires", since ? std::optional(*since + park.seconds) : std::nullopt);
  member_or_null(json, "seconds_left", seconds_left(park, listing.boottime));
  json.close('}');
}

void write_socket(JsonWriter& json, const UsedSocket& used, const Listing& listing) {
  const ListedSocket& socket = used.socket;
  json.open('{');
  json.member("inode", socket.inode);
  json.member("protocol", protocol_name(socket.protocol));
  json.member("family", std::string(socket.family == AF_INET ? "IPv4" : "IPv6"));
  json.key("local");
  write_address(json, socket.local);
  json.key("peer");
  write_address(json, socket.peer);
  json.member("device", socket.device);
  member_or_null(json, "queued", socket.datagrams);
  json.member("memory", socket.memory);
  json.member("drops", socket.drops);
  json.member("uid", socket.uid);
  member_or_null(json, "state", text_or_nothing(use_name(used.use)));
  json.key("park");
  if (used.park) {
    write_park(json, *used.park, listing);
  } else {
    json.null();
  }
  member_or_null(json, "program", text_or_nothing(used.program));
  json.key("processes");
  json.open('[');
  for (const pid_t pid : used.processes) json.value(pid);
  json.close(']');
  const bool known = used.park || !used.processes.empty() || used.all_processes;
  member_or_null(json, "orphan", known ? std::optional(used.use == Use::orphan) : std::nullopt);
  json.close('}');
}

}  // namespace

std::string list_json(const Listing& listing) {
  JsonWriter json;
  json.open('{');
  json.member("source", std::string(listing.by_module ? "module" : "/proc/net"));
  json.key("sockets");
  json.open('[');
  for (const UsedSocket& used : listing.sockets) write_socket(json, used, listing);
  json.close(']');
  json.close('}');
  return json.take();
}

}  // namespace udpcr::tool
