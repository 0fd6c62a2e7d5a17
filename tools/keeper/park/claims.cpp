// SPDX-License-Identifier: LGPL-2.1-or-later
#include "claims.hpp"

#include <cerrno>

namespace udpcr::keeper {
namespace {

// A killed caller must not take it along: it is parked again at once.
UniqueFd claim_and_park(const ParkedSocket& socket) {
  ModuleClient module;
  UniqueFd fd = module.claim(name_of(socket), socket.key.bytes());
  SocketName name = name_of(socket);
  name.fd = fd.get();
  module.park(name, socket.key.bytes(), socket.seconds);
  return fd;
}

}  // namespace

int ParkClaims::take(const ParkedSocket& socket) {
  if (socket.holder == 0) {
    fds_.push_back(claim_and_park(socket));
    of_module_.push_back(socket);
    return fds_.back().get();
  }
  auto keeper = keepers_.find(socket.address);
  if (keeper == keepers_.end()) {
    keeper = keepers_.emplace(socket.address, keeper_of(socket, patience_)).first;
  }
  ParkRequest request;
  request.question = ParkQuestion::take;
  request.inode = socket.record.inode;
  ParkReply reply;
  std::vector<ParkAsker::Given> given = keeper->second.ask_for_all(request, reply);
  if (reply.status == EBUSY) {
    throw Error(name_in_words(socket) + " is in use: process " + std::to_string(reply.pid) +
                    " of its program lives, or is taking it",
                EBUSY);
  }
  if (given.size() != 1) {
    throw Error(name_in_words(socket) + " is not parked any more: another was faster", ENOENT);
  }
  fds_.push_back(std::move(given.front().fd));
  return fds_.back().get();
}

void ParkClaims::confirm() {
  ParkRequest request;
  request.question = ParkQuestion::taken;
  for (auto& [address, keeper] : keepers_) keeper.ask(request);
  ModuleClient module;
  for (const ParkedSocket& socket : of_module_) module.unpark(name_of(socket));
}

}  // namespace udpcr::keeper
