// SPDX-License-Identifier: LGPL-2.1-or-later
#include "presence.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <udpcr/image_header.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <vector>

#include "alive.hpp"

#include "keeper/packet.hpp"
#include "keeper/park/abstract_name.hpp"
#include "keeper/process.hpp"
#include "keeper/service/outpost.hpp"

namespace udpcr::keeper {

namespace {

constexpr int kAnswerMs = 50;
// Names that are always looked at.  A keeper takes the first that is free.
constexpr unsigned kFirstNames = 8;

AbstractName name_of(std::uint64_t image, unsigned number) {
  const std::uint64_t place = name_place();
  if (place != 0) image = udpcr_identity_hash(image, &place, sizeof place);
  char name[64];
  std::snprintf(name, sizeof name, "%s%016" PRIx64 "/%u", wire::kPresenceName, image, number);
  return AbstractName(name);
}

struct Asked {
  UniqueFd fd;
  pid_t keeper;
};

bool is_of_us(const ucred& peer) {
  return peer.pid != getpid() && (peer.uid == 0 || peer.uid == geteuid());
}

std::vector<Asked> connect_to_all(std::uint64_t image) {
  std::vector<Asked> all;
  unsigned names = kFirstNames;
  UniqueFd fd;
  for (unsigned number = 0; number < names; ++number) {
    const AbstractName name = name_of(image, number);
    if (!fd) fd = name_socket();
    // It does not block: what another user has filled up is nothing to wait for.
    if (!fd || connect(fd.get(), name.get(), name.length) != 0) continue;
    names = wire::kPresenceNames;
    UniqueFd connected = std::move(fd);
    const ucred peer = peer_of(connected.get());
    if (is_of_us(peer)) all.push_back({std::move(connected), peer.pid});
  }
  return all;
}

}  // namespace

void Presence::listen(std::uint64_t image) {
  image_ = image;
  for (unsigned number = 0; number < wire::kPresenceNames && !listener_; ++number) {
    listener_ = listen_on(name_of(image, number));
  }
}

void Presence::answer(bool ending) const {
  const UniqueFd asker = accept_own(listener_.get());
  const char word = ending ? wire::kPresenceEnding : wire::kPresenceStays;
  if (asker) send_packet(asker.get(), &word, sizeof word, {}, 0);
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
      char word = 0;
      const ssize_t size = recv(all[i].fd.get(), &word, sizeof word, MSG_DONTWAIT);
      // One that hangs up has just ended.
      if (size != sizeof word || word == wire::kPresenceEnding) {
        ending = true;
        other_ = all[i].keeper;
      }
      all.erase(all.begin() + std::ptrdiff_t(i));
    }
  }
  for (const Asked& one : all) {
    other_ = one.keeper;
    // The keeper was killed, and its worker has the name.
    if (one.keeper != 0 && !is_running(one.keeper)) ending = true;
  }
  if (ending) return Others::ending;
  return all.empty() ? Others::none : Others::silent;
}

}  // namespace udpcr::keeper
