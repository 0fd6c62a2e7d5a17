// SPDX-License-Identifier: LGPL-2.1-or-later
#include "asker.hpp"

#include <cerrno>
#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <utility>

#include "abstract_name.hpp"
#include "keeper/alive.hpp"
#include "keeper/packet.hpp"

namespace udpcr::keeper {

std::string park_stem(std::uint64_t image, const wire::NameOwner& owner) {
  char name[64];
  std::snprintf(name, sizeof name, "%s%016" PRIx64, wire::kParkName, wire::park_hash(image, owner));
  return name;
}

pid_t ParkAsker::keeper() const { return peer_of(fd_.get()).pid; }

uid_t ParkAsker::user() const { return peer_of(fd_.get()).uid; }

std::vector<ParkAsker::Given> ParkAsker::ask_for_all(ParkRequest request, ParkReply& reply) {
  std::vector<Given> all;
  do {
    request.first = std::uint32_t(all.size());
    std::vector<UniqueFd> fds;
    reply = exchange(request, fds);
    if (reply.status != 0) return {};
    if (fds.size() != reply.count) {
      throw Error("keeper " + std::to_string(keeper()) +
                      " could not pass its parked sockets: too few fds are left; raise "
                      "RLIMIT_NOFILE (ulimit -n)",
                  EMFILE);
    }
    for (std::size_t i = 0; i < fds.size(); ++i) {
      all.push_back({reply.entries[i], std::move(fds[i])});
    }
  } while (reply.count > 0 && all.size() < reply.total);
  return all;
}

void ParkAsker::ask_ahead() {
  const ParkRequest request;
  asked_ahead_ = send_packet(fd_.get(), &request, sizeof request, {}, 0);
}

ParkReply ParkAsker::ask(const ParkRequest& request) {
  std::vector<UniqueFd> fds;
  return exchange(request, fds);
}

ParkReply ParkAsker::exchange(const ParkRequest& request, std::vector<UniqueFd>& fds) {
  const auto silent = [this] {
    return Error("keeper " + std::to_string(keeper()) +
                     " does not tell of its parked sockets; only root and its own user may ask",
                 EACCES);
  };
  if (!std::exchange(asked_ahead_, false) &&
      !send_packet(fd_.get(), &request, sizeof request, {}, 0)) {
    throw silent();
  }
  Packet packet;
  const Received received = await_packet(fd_.get(), packet, patience_->left_ms);
  if (received == Received::nothing) patience_->left_ms = 0;
  if (received == Received::nothing) throw silent();
  if (received == Received::end) {
    throw Error("keeper " + std::to_string(keeper()) + " has ended", ESRCH);
  }
  ParkReply reply;
  if (packet.type() != wire::Type::park_reply || packet.data.size() > sizeof reply ||
      packet.data.size() < offsetof(ParkReply, entries)) {
    throw silent();
  }
  std::memcpy(&reply, packet.data.data(), packet.data.size());
  if (reply.count > kParkBatch ||
      packet.data.size() != offsetof(ParkReply, entries) + reply.count * sizeof(ParkedEntry)) {
    throw silent();
  }
  fds = std::move(packet.fds);
  reply.executable[sizeof reply.executable - 1] = '\0';
  return reply;
}

}  // namespace udpcr::keeper
