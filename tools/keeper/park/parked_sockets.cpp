// SPDX-License-Identifier: LGPL-2.1-or-later
#include "parked_sockets.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "take.hpp"
#include "text_file.hpp"

namespace udpcr::keeper {

namespace {

// The abstract names of keepers that have some: "@NAME" in the last column of
// proc_net(5)'s unix.
std::vector<std::string> keeper_names() {
  std::vector<std::string> names;
  std::istringstream table(read_text("/proc/net/unix"));
  const std::string mark = std::string(" @") + wire::kParkName;
  for (std::string line; std::getline(table, line);) {
    const std::size_t place = line.find(mark);
    if (place == std::string::npos) continue;
    std::string name = line.substr(place + 2);
    // One of the connections of a listener has its name too.
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

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

void list_of_keeper(const std::string& name, std::vector<ParkedSocket>& all,
                    std::vector<std::string>& complaints) {
  auto keeper = ParkAsker::at(name);
  if (!keeper) return;
  try {
    ParkReply reply;
    for (ParkAsker::Given& given : keeper->ask_for_all({}, reply)) {
      ParkedSocket socket;
      socket.record = record_of_parked(given.fd.get(), given.entry.key);
      socket.record.uid = reply.uid;
      socket.key = given.entry.key;
      socket.executable = reply.executable;
      socket.alive = given.entry.alive != 0;
      if (!socket.alive) socket.since = given.entry.since;
      socket.seconds = given.entry.seconds;
      socket.holder = keeper->keeper();
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

ParkAsker keeper_of(const ParkedSocket& socket) {
  auto keeper = ParkAsker::at(socket.address);
  if (!keeper) {
    throw Error(
        name_in_words(socket) + ": its keeper " + std::to_string(socket.holder) + " has ended",
        ENOENT);
  }
  return std::move(*keeper);
}

std::vector<ParkedSocket> list_parked(std::vector<std::string>& complaints) {
  std::vector<ParkedSocket> all;
  list_of_module(all, complaints);
  for (const std::string& name : keeper_names()) list_of_keeper(name, all, complaints);
  return all;
}

void drop_parked(const ParkedSocket& socket) {
  if (socket.holder == 0) return ModuleClient().unpark(name_of(socket));
  ParkRequest request;
  request.question = ParkQuestion::drop;
  request.inode = socket.record.inode;
  if (keeper_of(socket).ask(request).status != 0) {
    throw Error(name_in_words(socket) + " is not parked any more", ENOENT);
  }
}

}  // namespace udpcr::keeper
