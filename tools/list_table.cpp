// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pwd.h>

#include <algorithm>

#include "list.hpp"
#include "show.hpp"
#include "table.hpp"

namespace udpcr::tool {
namespace {

std::string user_name(std::uint32_t uid) {
  const passwd* const user = getpwuid(uid);
  return user != nullptr ? user->pw_name : std::to_string(uid);
}

std::string processes(const UsedSocket& used) {
  std::string text;
  for (const pid_t pid : used.processes) {
    text += (text.empty() ? "" : ",") + std::to_string(pid);
  }
  if (!text.empty()) return text;
  return used.all_processes || used.use == Use::parked ? "-" : "?";
}

std::string holder(const UsedSocket& used) {
  if (!used.park) return "-";
  return used.park->holder == 0 ? "module" : "keeper " + std::to_string(used.park->holder);
}

std::string since(const UsedSocket& used, std::uint64_t now) {
  const auto ago = used.park ? seconds_ago(*used.park, now) : std::nullopt;
  return ago ? std::to_string(*ago) + "s ago" : "-";
}

std::string expires(const UsedSocket& used, std::uint64_t now) {
  const auto left = used.park ? seconds_left(*used.park, now) : std::nullopt;
  return left ? "in " + std::to_string(*left) + "s" : "-";
}

}  // namespace

std::string list_table(const Listing& listing) {
  const bool any_parked = std::any_of(listing.sockets.begin(), listing.sockets.end(),
                                      [](const UsedSocket& used) { return used.park.has_value(); });
  Row heads{"INODE",  "PROTO",  "LOCAL", "PEER", "DEVICE",
            "QUEUED", "MEMORY", "DROPS", "USER", "STATE"};
  if (any_parked) heads.insert(heads.end(), {"HOLDER", "SINCE", "EXPIRES"});
  heads.insert(heads.end(), {"PROGRAM", "PROCESSES"});
  std::vector<Row> rows{std::move(heads)};
  for (const UsedSocket& used : listing.sockets) {
    const ListedSocket& socket = used.socket;
    Row row{std::to_string(socket.inode),
            protocol_name(socket.protocol) + (socket.family == AF_INET ? "4" : "6"),
            to_string(socket.local),
            socket.peer ? to_string(*socket.peer) : "-",
            or_dash(printable(socket.device)),
            socket.datagrams ? std::to_string(*socket.datagrams) : "-",
            std::to_string(socket.memory),
            std::to_string(socket.drops),
            printable(user_name(socket.uid)),
            or_dash(use_name(used.use))};
    if (any_parked) {
      row.insert(row.end(),
                 {holder(used), since(used, listing.boottime), expires(used, listing.boottime)});
    }
    const std::string name = used.program.substr(used.program.rfind('/') + 1);
    row.insert(row.end(), {or_dash(printable(name)), processes(used)});
    rows.push_back(std::move(row));
  }
  return columns(rows, 5, 7);
}

}  // namespace udpcr::tool
