// SPDX-License-Identifier: LGPL-2.1-or-later
#include "session_counts.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <udpcr/udpcr.hpp>

#include "keeper/park/store.hpp"

namespace udpcr::keeper {

SessionCounts::SessionCounts() {
  void* const map = mmap(nullptr, kMost * sizeof(Place), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) {
    throw Error("no memory for the sessions: " + std::string(std::strerror(errno)), errno);
  }
  places_ = static_cast<Place*>(map);
}

SessionCounts::~SessionCounts() { munmap(places_, kMost * sizeof(Place)); }

int SessionCounts::take(uid_t uid) {
  std::size_t of_user = 0;
  std::size_t of_others = 0;  // than root
  int free = -1;
  for (std::size_t i = 0; i < kMost; ++i) {
    if (places_[i].pid.load() == 0) {
      if (free < 0) free = int(i);
      continue;
    }
    if (places_[i].uid == uid) ++of_user;
    if (places_[i].uid != 0) ++of_others;
  }
  const bool has_share = of_user < kMostOfUser && of_others < kMost - kOfRoot;
  if (free < 0 || (uid != 0 && !has_share)) return -1;
  Place& place = places_[free];
  place.uid = uid;
  place.sockets.store(0);
  place.bytes.store(0);
  place.pid.store(-1);
  return free;
}

void SessionCounts::set_pid(int place, pid_t pid) { places_[place].pid.store(pid); }

void SessionCounts::give_back(int place) { places_[place].pid.store(0); }

void SessionCounts::ended(pid_t pid) {
  for (std::size_t i = 0; i < kMost; ++i) {
    if (places_[i].pid.load() == pid) return give_back(int(i));
  }
}

bool SessionCounts::hold(int place, std::uint64_t sockets, std::uint64_t bytes) {
  Place& ours = places_[place];
  const std::uint64_t sockets_before = ours.sockets.exchange(sockets);
  const std::uint64_t bytes_before = ours.bytes.exchange(bytes);
  std::uint64_t all_sockets = 0;
  std::uint64_t all_bytes = 0;
  for (std::size_t i = 0; i < kMost; ++i) {
    if (places_[i].pid.load() == 0 || places_[i].uid != ours.uid) continue;
    all_sockets += places_[i].sockets.load();
    all_bytes += places_[i].bytes.load();
  }
  if (all_sockets <= kMostParked && all_bytes <= kMostParkedBytes) return true;
  // Less than before is never refused.
  if (sockets <= sockets_before && bytes <= bytes_before) return true;
  ours.sockets.store(sockets_before);
  ours.bytes.store(bytes_before);
  return false;
}

}  // namespace udpcr::keeper
