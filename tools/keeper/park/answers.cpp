// SPDX-License-Identifier: LGPL-2.1-or-later
#include "answers.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "abstract_name.hpp"
#include "keeper/packet.hpp"
#include "keeper/service/outpost.hpp"

namespace udpcr::keeper {

namespace {

// Connections at a time.
constexpr std::size_t kMostAskers = 128;
// How often a name is looked for that others held.
constexpr int kImproveMs = 100;

}  // namespace

void ParkAnswers::listen_if_expected() {
  if (listeners_.empty() && parks_.expected()) listen();
}

std::vector<int> ParkAnswers::sources() {
  listen_if_expected();
  std::vector<int> sources;
  for (const UniqueFd& listener : listeners_) sources.push_back(listener.get());
  for (const Asker& asker : askers_) sources.push_back(asker.fd.get());
  return sources;
}

std::string ParkAnswers::stem() const { return park_stem(parks_.key().image, name_owner()); }

void ParkAnswers::listen() {
  UniqueFd listener = listen_in(stem(), has_fixed_name_);
  if (listener) {
    listeners_.push_back(std::move(listener));
    return;
  }
  if (told_) return;
  log_.error("the parked sockets cannot be found by the next start: no Unix socket is to be had (" +
             std::string(std::strerror(errno)) + "); raise RLIMIT_NOFILE");
  told_ = true;
}

// At a random name it is found only while somebody holds all others.
int ParkAnswers::improve_name() {
  if (listeners_.empty() || has_fixed_name_) return -1;
  UniqueFd listener = listen_in_fixed(stem());
  has_fixed_name_ = bool(listener);
  if (!listener) return kImproveMs;
  listeners_.push_back(std::move(listener));
  return -1;
}

void ParkAnswers::close() {
  listeners_.clear();
  askers_.clear();
}

void ParkAnswers::serve(int source, pid_t living) {
  if (std::any_of(listeners_.begin(), listeners_.end(),
                  [source](const UniqueFd& one) { return one.get() == source; })) {
    UniqueFd fd = accept_own(source);
    if (!fd) return;
    // The one that has waited longest is not likely to ask any more.
    if (askers_.size() >= kMostAskers) forget(askers_.begin());
    const pid_t pid = peer_of(fd.get()).pid;
    askers_.push_back({std::move(fd), pid, {}});
    return;
  }
  const auto asker = std::find_if(askers_.begin(), askers_.end(),
                                  [source](const Asker& one) { return one.fd.get() == source; });
  if (asker != askers_.end() && !serve(*asker, living)) forget(asker);
}

void ParkAnswers::forget(std::list<Asker>::iterator asker) {
  if (!asker->given.empty()) parks_.lend({});
  askers_.erase(asker);
}

bool ParkAnswers::serve(Asker& asker, pid_t living) {
  try {
    Packet packet;
    const Received received = receive_packet(asker.fd.get(), packet);
    if (received != Received::packet) return received == Received::nothing;
    if (packet.type() == wire::Type::probe) {
      answer(asker, packet.as<wire::ProbeMessage>());
      return false;
    }
    if (packet.type() != wire::Type::park_ask) return false;
    answer(asker, packet.as<ParkRequest>(), living);
    return true;
  } catch (const Error& error) {
    // The upgrade's next start: it says that it cannot have what is here.
    const wire::WireHeader ours{wire::Type::other_version, wire::kVersion};
    if (error.error_number() == EPROTONOSUPPORT) {
      send_packet(asker.fd.get(), &ours, sizeof ours, {}, 0);
    }
    log_.debug(error.what());
    return false;
  }
}

void ParkAnswers::answer(const Asker& asker, const wire::ProbeMessage& probe) {
  const std::vector<Parks::Held> held = parks_.held();
  const bool any = std::any_of(held.begin(), held.end(), [&](const Parks::Held& one) {
    return one.entry.key.is_for(probe.mine, probe.match);
  });
  const wire::FoundMessage found{{wire::Type::found, wire::kVersion}, any ? 1U : 0U};
  send_packet(asker.fd.get(), &found, sizeof found, {}, 0);
}

void ParkAnswers::choose(const std::vector<Parks::Held>& wanted, std::uint32_t first,
                         ParkReply& reply, std::vector<int>& fds) {
  reply.total = std::uint32_t(wanted.size());
  for (std::size_t i = first; i < wanted.size() && fds.size() < kParkBatch; ++i) {
    reply.entries[reply.count++] = wanted[i].entry;
    fds.push_back(wanted[i].fd);
  }
}

void ParkAnswers::answer(Asker& asker, const ParkRequest& request, pid_t living) {
  ParkReply reply;
  reply.pid = living;
  parks_.executable().copy(reply.executable, sizeof reply.executable - 1);
  std::vector<Parks::Held> wanted = parks_.held();
  if (request.inode != 0) {
    std::erase_if(wanted, [&](const Parks::Held& one) { return one.entry.inode != request.inode; });
  } else if (request.question == ParkQuestion::take) {
    std::erase_if(wanted, [&](const Parks::Held& one) {
      return !one.entry.key.is_for(request.mine, request.match);
    });
  }
  std::vector<int> fds;
  const auto other = std::find_if(askers_.begin(), askers_.end(), [&](const Asker& one) {
    return &one != &asker && !one.given.empty();
  });
  switch (request.question) {
    case ParkQuestion::list:
      choose(wanted, request.first, reply, fds);
      break;
    case ParkQuestion::take:
      if (wanted.empty()) {
        reply.status = ENOENT;
      } else if (living != 0 || other != askers_.end()) {
        reply.status = EBUSY;
        if (living == 0) reply.pid = other->pid;
      } else {
        choose(wanted, request.first, reply, fds);
        for (std::size_t i = 0; i < reply.count; ++i) asker.given.insert(reply.entries[i].inode);
        parks_.lend(asker.given);
      }
      break;
    case ParkQuestion::taken:
      for (const std::uint64_t inode : asker.given) parks_.surrender(inode);
      asker.given.clear();
      break;
    case ParkQuestion::drop:
      if (request.inode == 0 || wanted.empty()) {
        reply.status = ENOENT;
      } else {
        parks_.drop(request.inode);
      }
      break;
    default:
      reply.status = EINVAL;
  }
  const std::size_t size = offsetof(ParkReply, entries) + reply.count * sizeof(ParkedEntry);
  send_packet(asker.fd.get(), &reply, size, fds, 0);
}

}  // namespace udpcr::keeper
