// SPDX-License-Identifier: LGPL-2.1-or-later
#include "asker.hpp"

#include <poll.h>

#include <udpcr/image_header.h>
#include <cerrno>
#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "abstract_name.hpp"
#include "keeper/alive.hpp"
#include "keeper/packet.hpp"

namespace udpcr::keeper {

namespace {

// The keeper may be reading the sockets of a checkpoint.
constexpr int kPatienceMs = 5000;

}  // namespace

std::string park_name(std::uint64_t image, unsigned number, std::uint64_t place) {
  char name[64];
  if (place != 0) image = udpcr_identity_hash(image, &place, sizeof place);
  std::snprintf(name, sizeof name, "%s%016" PRIx64 "/%u", wire::kParkName, image, number);
  return name;
}

std::optional<ParkAsker> ParkAsker::at(const std::string& name) {
  UniqueFd fd = connect_to(AbstractName(name));
  if (!fd) return {};
  return ParkAsker(std::move(fd));
}

pid_t ParkAsker::keeper() const { return peer_of(fd_.get()).pid; }

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
  if (!send_packet(fd_.get(), &request, sizeof request, {}, kPatienceMs)) throw silent();
  pollfd answer{fd_.get(), POLLIN, 0};
  if (poll_alive(&answer, 1, kPatienceMs) <= 0) throw silent();
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
