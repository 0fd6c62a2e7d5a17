// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pwd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "commands.hpp"
#include "json.hpp"
#include "show.hpp"
#include "socket_list.hpp"
#include "socket_owners.hpp"
#include "table.hpp"

namespace udpcr {
namespace {

constexpr char kUsage[] =
    "usage: udpcr list [--json]\n"
    "\n"
    "Lists the bound UDP and UDP-Lite sockets of this network namespace.  The kernel\n"
    "module tells all (CAP_NET_ADMIN); without it /proc/net does, which knows no\n"
    "number of queued datagrams and no device.  A socket that no process has open is\n"
    "an orphan; \"?\" where this user may not look at every process.\n";

std::vector<pid_t> pids(const SocketOwners& owners, std::uint64_t inode) {
  std::vector<pid_t> all;
  for (const SocketOwner& owner : owners.of(inode)) {
    if (all.empty() || all.back() != owner.pid) all.push_back(owner.pid);
  }
  return all;
}

std::string user_name(std::uint32_t uid) {
  const passwd* const user = getpwuid(uid);
  return user != nullptr ? user->pw_name : std::to_string(uid);
}

std::string processes(const SocketOwners& owners, std::uint64_t inode) {
  std::string text;
  for (const pid_t pid : pids(owners, inode)) {
    text += (text.empty() ? "" : ",") + std::to_string(pid);
  }
  if (!text.empty()) return text;
  return owners.complete() ? "orphan" : "?";
}

void print_table(const SocketList& list, const SocketOwners& owners) {
  std::vector<tool::Row> rows{{"INODE", "PROTO", "LOCAL", "PEER", "DEVICE", "QUEUED", "MEMORY",
                               "DROPS", "USER", "PROCESSES"}};
  for (const ListedSocket& socket : list.sockets) {
    rows.push_back({std::to_string(socket.inode),
                    tool::protocol_name(socket.protocol) + (socket.family == AF_INET ? "4" : "6"),
                    to_string(socket.local), socket.peer ? to_string(*socket.peer) : "-",
                    tool::or_dash(tool::printable(socket.device)),
                    socket.datagrams ? std::to_string(*socket.datagrams) : "-",
                    std::to_string(socket.memory), std::to_string(socket.drops),
                    tool::printable(user_name(socket.uid)), processes(owners, socket.inode)});
  }
  std::fputs(tool::columns(rows, 5, 7).c_str(), stdout);
}

void print_json(const SocketList& list, const SocketOwners& owners) {
  tool::JsonWriter json;
  json.open('{');
  json.member("source", std::string(list.by_module ? "module" : "/proc/net"));
  json.key("sockets");
  json.open('[');
  for (const ListedSocket& socket : list.sockets) {
    json.open('{');
    json.member("inode", socket.inode);
    json.member("protocol", tool::protocol_name(socket.protocol));
    json.member("family", std::string(socket.family == AF_INET ? "IPv4" : "IPv6"));
    json.key("local");
    tool::write_address(json, socket.local);
    json.key("peer");
    tool::write_address(json, socket.peer);
    json.member("device", socket.device);
    json.key("queued");
    if (socket.datagrams) {
      json.value(*socket.datagrams);
    } else {
      json.null();
    }
    json.member("memory", socket.memory);
    json.member("drops", socket.drops);
    json.member("uid", socket.uid);
    const std::vector<pid_t> all = pids(owners, socket.inode);
    json.key("processes");
    json.open('[');
    for (const pid_t pid : all) json.value(pid);
    json.close(']');
    json.key("orphan");
    if (all.empty() && !owners.complete()) {
      json.null();
    } else {
      json.value(all.empty());
    }
    json.close('}');
  }
  json.close(']');
  json.close('}');
  std::fputs(json.take().c_str(), stdout);
}

}  // namespace

int list_main(int argc, char** argv) {
  const bool json = argc == 2 && std::strcmp(argv[1], "--json") == 0;
  if (argc > 1 && !json) {
    const bool help = argc == 2 && std::strcmp(argv[1], "--help") == 0;
    std::fputs(kUsage, help ? stdout : stderr);
    return help ? 0 : 2;
  }
  try {
    // The owners last: what is listed must not look like an orphan because its
    // process began later.
    const SocketList list = list_sockets();
    const SocketOwners owners;
    if (!list.by_module) {
      std::fprintf(stderr, "udpcr: from /proc/net only, because %s\n", list.why_not.c_str());
    }
    json ? print_json(list, owners) : print_table(list, owners);
  } catch (const Error& error) {
    std::fprintf(stderr, "udpcr: error: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace udpcr
