// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_use.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "table.hpp"

namespace udpcr {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// What its holder tells of one that the kernel's list has not.
ListedSocket listed_as(const SocketRecord& record) {
  ListedSocket socket;
  socket.inode = record.inode;
  socket.family = record.family;
  socket.protocol = record.protocol;
  socket.local = record.local;
  socket.peer = record.peer;
  socket.device = record.device;
  socket.memory = record.rmem;
  socket.drops = record.drops;
  socket.uid = record.uid;
  return socket;
}

// /proc/net counts no datagrams, and a holder need not.
void count_queue(ListedSocket& socket, const SocketRecord& record) {
  if (!socket.datagrams && (record.queue_count != 0 || record.rmem == 0)) {
    socket.datagrams = record.queue_count;
  }
}

void see_owners(UsedSocket& used, const UseSources& sources) {
  const pid_t holder = used.park ? used.park->holder : 0;
  bool tracked = false;
  used.all_processes = sources.all_owners;
  for (const pid_t pid : sources.owners(used.socket.inode)) {
    if (pid == holder) continue;
    used.processes.push_back(pid);
    tracked = tracked || sources.is_tracked(pid);
  }
  if (used.park) {
    used.use = used.park->alive ? Use::parked_in_use : Use::parked;
  } else if (used.processes.empty()) {
    used.use = used.all_processes ? Use::orphan : Use::none;
  } else if (tracked) {
    used.use = Use::tracked;
  }
  if (used.park) used.program = used.park->executable;
  if (used.program.empty() && !used.processes.empty()) {
    used.program = sources.executable(used.processes.front());
  }
}

}  // namespace

std::vector<UsedSocket> socket_uses(std::vector<ListedSocket> listed,
                                    std::vector<keeper::ParkedSocket> parked,
                                    const UseSources& sources) {
  std::map<std::uint64_t, keeper::ParkedSocket> parks;
  for (keeper::ParkedSocket& park : parked) parks.emplace(park.record.inode, std::move(park));
  std::vector<UsedSocket> all;
  for (ListedSocket& socket : listed) {
    UsedSocket used;
    used.socket = std::move(socket);
    if (auto park = parks.extract(used.socket.inode)) used.park = std::move(park.mapped());
    all.push_back(std::move(used));
  }
  for (auto& [inode, park] : parks) {
    UsedSocket used;
    used.socket = listed_as(park.record);
    used.park = std::move(park);
    all.push_back(std::move(used));
  }
  for (UsedSocket& used : all) {
    if (used.park) count_queue(used.socket, used.park->record);
    see_owners(used, sources);
  }
  std::sort(all.begin(), all.end(), [](const UsedSocket& one, const UsedSocket& other) {
    return std::tie(one.socket.local.port, one.socket.inode) <
           std::tie(other.socket.local.port, other.socket.inode);
  });
  return all;
}

std::string use_name(Use use) {
  switch (use) {
    case Use::none:
      return {};
    case Use::tracked:
      return "tracked";
    case Use::parked:
      return "parked";
    case Use::parked_in_use:
      return "parked+in-use";
    case Use::orphan:
      return "orphan";
  }
  return {};
}

std::optional<std::uint64_t> seconds_ago(const keeper::ParkedSocket& park, std::uint64_t now) {
  if (!park.since) return {};
  return now <= *park.since ? 0 : (now - *park.since) / kSecond;
}

std::optional<std::uint64_t> seconds_left(const keeper::ParkedSocket& park, std::uint64_t now) {
  const auto ago = seconds_ago(park, now);
  if (!ago) return {};
  return *ago >= park.seconds ? 0 : park.seconds - *ago;
}

std::string describe(const keeper::ParkedSocket& park) {
  const std::string local = tool::local_text(park.record);
  return (local == "-" ? "the unbound socket" : local) + " (inode " +
         std::to_string(park.record.inode) + ")";
}

}  // namespace udpcr
