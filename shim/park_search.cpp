// SPDX-License-Identifier: LGPL-2.1-or-later
#include "park_search.h"

#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "identity.h"
#include "keeper_service.h"
#include "start_message.h"
#include "sys.h"
#include "text.h"

namespace udpcr {

namespace {

// A keeper that is at work on a checkpoint answers later: then it may have some.
constexpr int kAnswerPatienceMs = 200;

// Names that are always looked at: each costs some 3 us.  A keeper takes the first
// that is free, so higher ones are in use while there are, or were, that many; the
// program's own keeper looks at all.
constexpr unsigned kFirstNames = 8;

int make_probe() {
  return static_cast<int>(
      syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// The abstract name (unix(7)) of the `number`th keeper of an image.  False:
// nobody listens.  EAGAIN: it has no room for one more now.
bool reach(int probe, const char* prefix, uint64_t image, unsigned number) {
  Text<64> name;
  name << prefix;
  for (int shift = 60; shift >= 0; shift -= 4) name << "0123456789abcdef"[image >> shift & 0xf];
  name << '/' << number;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path + 1, name.c_str(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return syscall(SYS_connect, probe, &address, size) == 0 || errno == EAGAIN;
}

bool says_yes(int probe, const wire::ParkKey& mine, Match match) {
  wire::ParkProbe question;
  question.match = match;
  question.mine = mine;
  iovec piece{&question, sizeof question};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (sys::sendmsg(probe, &message, MSG_NOSIGNAL) < 0) return errno == EAGAIN;
  pollfd answer{probe, POLLIN, 0};
  if (sys::poll(&answer, 1, kAnswerPatienceMs) <= 0) return true;
  char yes = 0;
  // One that hangs up is another user's.
  return sys::read(probe, &yes, sizeof yes) == sizeof yes ? yes != 0 : true;
}

bool keeper_has_parked(const wire::ParkKey& mine, Match match) {
  int probe = make_probe();
  bool found = false;
  unsigned names = kFirstNames;
  for (unsigned number = 0; number < names && !found && probe >= 0; ++number) {
    if (!reach(probe, wire::kParkName, mine.image, number)) continue;
    names = wire::kParkNames;
    found = says_yes(probe, mine, match);
    sys::close(probe);
    probe = make_probe();
  }
  if (probe >= 0) sys::close(probe);
  return found;
}

bool is_ours_or_roots(int connection) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  return sys::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid != 0 &&
         (peer.uid == 0 || peer.uid == static_cast<uid_t>(syscall(SYS_geteuid)));
}

// The keeper of an earlier run has sockets that are not parked, or is about to write
// the image: our own keeper waits for it.
bool is_closing(uint64_t image, unsigned number) {
  const Fd probe(make_probe());
  if (probe.get() < 0 || !reach(probe.get(), wire::kPresenceName, image, number) ||
      !is_ours_or_roots(probe.get())) {
    return false;
  }
  pollfd answer{probe.get(), POLLIN, 0};
  if (sys::poll(&answer, 1, kAnswerPatienceMs) <= 0) return true;
  char word = 0;
  return sys::read(probe.get(), &word, sizeof word) != sizeof word || word == wire::kPresenceEnding;
}

// Each keeper takes the first name that is free, so that mostly there is no second;
// what is missed here is waited for at bind(2).
bool earlier_run_is_closing(uint64_t image) { return is_closing(image, 0) || is_closing(image, 1); }

}  // namespace

bool may_be_parked(const Settings& settings) {
  const KeepErrno keep;
  const wire::ParkKey mine = own_park_key(settings);
  return earlier_run_is_closing(mine.image) || keeper_has_parked(mine, settings.match) ||
         module_has_parked(mine, settings.match) ||
         (settings.keeper[0] != '\0' && service_has_parked(settings, mine));
}

}  // namespace udpcr
