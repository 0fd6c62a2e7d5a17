// SPDX-License-Identifier: LGPL-2.1-or-later
#include "presence.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "alive.hpp"

#include "keeper/packet.hpp"
#include "keeper/park/abstract_name.hpp"
#include "keeper/process.hpp"
#include "keeper/service/outpost.hpp"

namespace udpcr::keeper {

namespace {

constexpr int kAnswerMs = 50;

std::string stem_of(const char* kind, std::uint64_t image) {
  char name[64];
  std::snprintf(name, sizeof name, "%s%016" PRIx64, kind, wire::park_hash(image, name_owner()));
  return name;
}

struct Asked {
  UniqueFd fd;
  pid_t keeper;
};

// By its answer, which has come.  One that hangs up has just ended.
bool is_ending(int keeper) {
  Packet packet;
  try {
    if (receive_packet(keeper, packet) != Received::packet) return true;
    return packet.type() != wire::Type::presence || packet.as<wire::PresenceMessage>().ending != 0;
  } catch (const Error&) {
    return false;  // of another release
  }
}

// Those of our own user, but for this one; and workers and monitors whose keepers are not
// among them.
std::vector<Asked> connect_to_all(std::uint64_t image) {
  std::vector<Asked> all;
  std::set<pid_t> keepers;
  for (Holder& one : find_in(stem_of(wire::kPresenceName, image), is_ours)) {
    const pid_t keeper = peer_of(one.connection.get()).pid;
    keepers.insert(keeper);
    if (keeper != getpid()) all.push_back({std::move(one.connection), keeper});
  }
  for (const char* const kind : {wire::kWorkerName, wire::kMonitorName}) {
    for (Holder& one : find_in(stem_of(kind, image), is_ours)) {
      const pid_t worker = peer_of(one.connection.get()).pid;
      if (keepers.count(parent_of(worker)) == 0) all.push_back({std::move(one.connection), 0});
    }
  }
  return all;
}

}  // namespace

void Presence::listen(std::uint64_t image) {
  image_ = image;
  bool fixed = false;
  listener_ = listen_in(stem_of(wire::kPresenceName, image), fixed);
}

void Presence::become_worker() {
  bool fixed = false;
  listener_ = listen_in(stem_of(wire::kWorkerName, image_), fixed);
}

UniqueFd Presence::monitor_name() const {
  bool fixed = false;
  return listen_in(stem_of(wire::kMonitorName, image_), fixed);
}

void Presence::answer(bool ending) const {
  const UniqueFd asker = accept_own(listener_.get());
  wire::PresenceMessage message;
  message.ending = ending ? 1 : 0;
  if (asker) send_packet(asker.get(), &message, sizeof message, {}, 0);
}

Presence::Others Presence::look(const void* context, void (*on_asked)(const void*)) {
  using namespace std::chrono;
  std::vector<Asked> all = connect_to_all(image_);
  const auto deadline = steady_clock::now() + milliseconds(kAnswerMs);
  bool ending = false;
  while (!all.empty()) {
    const auto left = duration_cast<milliseconds>(deadline - steady_clock::now());
    if (left.count() <= 0) break;
    std::vector<pollfd> polled;
    for (const Asked& one : all) polled.push_back({one.fd.get(), POLLIN, 0});
    if (listener_) polled.push_back({listener_.get(), POLLIN, 0});
    if (poll_alive(polled.data(), polled.size(), int(left.count())) <= 0) continue;
    if (listener_ && polled.back().revents != 0) on_asked(context);
    for (std::size_t i = all.size(); i-- > 0;) {
      if (polled[i].revents == 0) continue;
      if (is_ending(all[i].fd.get())) {
        ending = true;
        other_ = all[i].keeper;
      }
      all.erase(all.begin() + std::ptrdiff_t(i));
    }
  }
  for (const Asked& one : all) {
    other_ = one.keeper;
    // A worker whose keeper was killed answers nobody.
    if (one.keeper == 0) ending = true;
  }
  if (ending) return Others::ending;
  return all.empty() ? Others::none : Others::silent;
}

}  // namespace udpcr::keeper
