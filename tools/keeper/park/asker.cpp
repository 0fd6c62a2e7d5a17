// SPDX-License-Identifier: LGPL-2.1-or-later
#include "asker.hpp"

#include <poll.h>

#include <cerrno>
#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <cstring>

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
  if (!send_packet(fd_.get(), &request, sizeof request, {}, 0)) throw silent();
  pollfd answer{fd_.get(), POLLIN, 0};
  if (poll_alive(&answer, 1, patience_->left_ms) <= 0) {
    patience_->left_ms = 0;
    throw silent();
  }
  ParkReply reply;
  const ssize_t size = receive_with_fds(fd_.get(), &reply, sizeof reply, fds);
  if (size == 0 || (size < 0 && errno == ECONNRESET)) {
    throw Error("keeper " + std::to_string(keeper()) + " has ended", ESRCH);
  }
  if (size < ssize_t(offsetof(ParkReply, entries)) || reply.version != kParkTalkVersion ||
      reply.count > kParkBatch ||
      std::size_t(size) != offsetof(ParkReply, entries) + reply.count * sizeof(ParkedEntry)) {
    throw silent();
  }
  reply.executable[sizeof reply.executable - 1] = '\0';
  return reply;
}

}  // namespace udpcr::keeper
