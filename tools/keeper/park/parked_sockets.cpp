// SPDX-License-Identifier: LGPL-2.1-or-later
#include "parked_sockets.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include "abstract_name.hpp"
#include "take.hpp"

namespace udpcr::keeper {

namespace {

void list_of_module(std::vector<ParkedSocket>& all, std::vector<std::string>& complaints) {
  ModuleClient module;
  if (!module.available() || !module.parks()) return;
  try {
    for (Parked& parked : module.parked()) {
      ParkedSocket socket;
      socket.key = ParkKey::from(parked.key).value_or(ParkKey{});
      socket.record = std::move(parked.record);
      socket.alive = !parked.since;
      socket.since = parked.since;
      socket.seconds = parked.seconds;
      all.push_back(std::move(socket));
    }
  } catch (const Error& error) {
    complaints.emplace_back(error.what());
  }
}

void list_of_keeper(const std::string& name, ParkAsker& keeper, std::vector<ParkedSocket>& all,
                    std::vector<std::string>& complaints) {
  try {
    ParkReply reply;
    for (ParkAsker::Given& given : keeper.ask_for_all({}, reply)) {
      if (!is_udp_socket(given.fd.get())) continue;
      ParkedSocket socket;
      socket.record = record_of_parked(given.fd.get(), ParkKey(given.entry.key));
      socket.record.uid = keeper.user();
      socket.key = ParkKey(given.entry.key);
      socket.executable = reply.executable;
      socket.alive = given.entry.alive != 0;
      if (!socket.alive) socket.since = given.entry.since;
      socket.seconds = given.entry.seconds;
      socket.holder = keeper.keeper();
      socket.address = name;
      all.push_back(std::move(socket));
    }
  } catch (const Error& error) {
    complaints.emplace_back(error.what());
  }
}

}  // namespace

SocketName name_of(const ParkedSocket& socket) {
  return {socket.record.inode, {}, socket.record.cookie};
}

std::string name_in_words(const ParkedSocket& socket) {
  return "parked socket " + std::to_string(socket.record.inode) + " (" +
         to_string(socket.record.local) + ")";
}

ParkAsker keeper_of(const ParkedSocket& socket, Patience& patience) {
  UniqueFd connection = connect_to(AbstractName(socket.address));
  if (!connection || peer_of(connection.get()).pid != socket.holder) {
    throw Error(
        name_in_words(socket) + ": its keeper " + std::to_string(socket.holder) + " has ended",
        ENOENT);
  }
  return {std::move(connection), patience};
}

std::vector<ParkedSocket> list_parked(std::vector<std::string>& complaints) {
  std::vector<ParkedSocket> all;
  list_of_module(all, complaints);
  Patience patience;
  std::vector<std::pair<std::string, ParkAsker>> keepers;
  for (const std::string& name : listed_names(wire::kParkName)) {
    UniqueFd connection = connect_to(AbstractName(name));
    // Others' keepers are root's to see, and nobody else's.
    if (!connection || (geteuid() != 0 && !is_ours(connection.get()))) continue;
    keepers.emplace_back(name, ParkAsker(std::move(connection), patience)).second.ask_ahead();
  }
  for (auto& [name, keeper] : keepers) list_of_keeper(name, keeper, all, complaints);
  return all;
}

void drop_parked(const ParkedSocket& socket) {
  if (socket.holder == 0) return ModuleClient().unpark(name_of(socket));
  ParkRequest request;
  request.question = ParkQuestion::drop;
  request.inode = socket.record.inode;
  Patience patience;
  if (keeper_of(socket, patience).ask(request).status != 0) {
    throw Error(name_in_words(socket) + " is not parked any more", ENOENT);
  }
}

}  // namespace udpcr::keeper
