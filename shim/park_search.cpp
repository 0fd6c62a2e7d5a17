// SPDX-License-Identifier: LGPL-2.1-or-later
#include "park_search.h"

#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "identity.h"
#include "keeper_service.h"
#include "packet.h"
#include "start_message.h"
#include "sys.h"
#include "text.h"

namespace udpcr {

namespace {

// A keeper that is at work on a checkpoint answers later: then it may have some.
constexpr int kAnswerPatienceMs = 200;

int make_probe() {
  return static_cast<int>(
      syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

uint32_t effective_user() { return static_cast<uint32_t>(syscall(SYS_geteuid)); }

uint64_t own_names(uint64_t image) {
  struct stat users {};
  syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/ns/user", &users, 0);
  return wire::park_hash(image, {0, users.st_ino, effective_user()});
}

enum class Reached { nobody, ours, others };

// Who has the abstract name (unix(7)) of the `number`th keeper of an image.  The
// program's own keeper looks closer.
Reached reach(int probe, const char* prefix, uint64_t names, unsigned number) {
  Text<64> name;
  name << prefix;
  for (int shift = 60; shift >= 0; shift -= 4) name << "0123456789abcdef"[names >> shift & 0xf];
  name << '/' << number;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path + 1, name.c_str(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (syscall(SYS_connect, probe, &address, size) != 0) {
    // EAGAIN: it has no room for one more.
    return errno == EAGAIN ? Reached::others : Reached::nobody;
  }
  ucred peer{};
  socklen_t peer_size = sizeof peer;
  const bool known = sys::getsockopt(probe, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0;
  return known && peer.uid == effective_user() ? Reached::ours : Reached::others;
}

bool says_yes(int probe, const wire::ParkKey& mine, Match match) {
  wire::ProbeMessage question{{wire::Type::probe, wire::kVersion}, match, mine};
  const iovec piece{&question, sizeof question};
  const int error = packet::send(probe, &piece, 1, nullptr, 0);
  if (error != 0) return error == EAGAIN;
  pollfd answer{probe, POLLIN, 0};
  if (sys::poll(&answer, 1, kAnswerPatienceMs) <= 0) return true;
  wire::FoundMessage found{};
  packet::Arrived none{};
  const ssize_t size = packet::receive(probe, &found, sizeof found, nullptr, 0, none);
  // One that hangs up counts us as another user; one of another release may have some.
  if (size != sizeof found || found.header.type != wire::Type::found) return true;
  return found.parked != 0;
}

// Each name costs some 3 us.  Where others hold one, or ours hold all, a keeper may
// have gone elsewhere: then the program's own keeper is to look.
bool keeper_has_parked(uint64_t names, const wire::ParkKey& mine, Match match) {
  int probe = make_probe();
  bool found = false;
  unsigned held = 0;
  for (unsigned number = 0; number < wire::kFixedNames && !found && probe >= 0; ++number) {
    const Reached reached = reach(probe, wire::kParkName, names, number);
    if (reached == Reached::nobody) continue;
    found =
        reached == Reached::others || ++held == wire::kFixedNames || says_yes(probe, mine, match);
    sys::close(probe);
    probe = make_probe();
  }
  if (probe >= 0) sys::close(probe);
  return found;
}

// The keeper of an earlier run has sockets that are not parked, or is about to write
// the image: our own keeper waits for it.
bool is_closing(uint64_t names, unsigned number) {
  const Fd probe(make_probe());
  if (probe.get() < 0 || reach(probe.get(), wire::kPresenceName, names, number) != Reached::ours) {
    return false;
  }
  pollfd answer{probe.get(), POLLIN, 0};
  if (sys::poll(&answer, 1, kAnswerPatienceMs) <= 0) return true;
  wire::PresenceMessage presence;
  packet::Arrived arrived{};
  const ssize_t size =
      packet::receive(probe.get(), &presence, sizeof presence, nullptr, 0, arrived);
  return size != sizeof presence || presence.header.type != wire::Type::presence ||
         presence.ending != 0;
}

// One whose keeper was killed may still have the sockets.
bool has_worker(uint64_t names) {
  const Fd probe(make_probe());
  return probe.get() >= 0 && reach(probe.get(), wire::kWorkerName, names, 0) == Reached::ours;
}

// Each keeper takes the first name that is free, so that mostly there is no second;
// what is missed here is waited for at bind(2).
bool earlier_run_is_closing(uint64_t names) {
  return is_closing(names, 0) || is_closing(names, 1) || has_worker(names);
}

}  // namespace

bool may_be_parked(const Settings& settings) {
  const KeepErrno keep;
  const wire::ParkKey mine = own_park_key(settings);
  const uint64_t names = own_names(mine.image);
  return earlier_run_is_closing(names) || keeper_has_parked(names, mine, settings.match) ||
         module_has_parked(mine, settings.match) ||
         (settings.keeper[0] != '\0' && service_has_parked(settings, mine));
}

}  // namespace udpcr
