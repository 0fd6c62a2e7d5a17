// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who is at the other end of a Unix socket, by facts of the kernel.  This is the
// one place where that is decided, for programs, sessions and other keepers.
//
// A process id alone proves nothing: its process may have ended, and the number
// may be another's.  SO_PEERCRED alone does not either: it tells who called
// connect(2), listen(2) or socketpair(2) at some time, who need not be the one
// who speaks.  So the sender of a message counts, held by a pidfd: the kernel
// gives that with the message from Linux 6.5 on (SCM_PIDFD); before, it is opened
// by number, and the process must then give back a random number.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <udpcr/udpcr.hpp>

#include "protocol/program.h"

namespace udpcr::keeper {

// From here on the kernel tells the sender of each message that arrives, also of
// those that wait already if whoever made the channel has asked for it.
// While it is on, sending gives a nameless socket an abstract name (unix(7)).
// True: with a pidfd.
bool tell_senders(int channel, bool on);

// The process that holds `pidfd` lives.
bool lives(const UniqueFd& pidfd);

// A pidfd of who connected (SO_PEERPIDFD), else of who has the number now: then
// `by_number` is set, and what is learnt of it counts when it has answered a
// Challenge.  Empty when there is none.
UniqueFd pidfd_of_peer(int channel, pid_t pid, bool& by_number);
UniqueFd pidfd_of(pid_t pid);

// A random number that must come back.
class Challenge {
 public:
  // Throws Error when the kernel has no random numbers.
  Challenge();
  [[nodiscard]] wire::IdentifyMessage question() const;
  [[nodiscard]] bool is_answered_by(const wire::IdentifyMessage& answer) const;

 private:
  std::array<std::uint8_t, wire::kNonceSize> nonce_{};
};

// An end of a socketpair(2) of type SOCK_SEQPACKET: neither end has a name, as
// one of a connection to somebody's listening socket always has.
bool is_nameless_pair(int channel);

// What /proc/PID/status tells of a process.  Whoever asks holds a pidfd, and
// looks whether that still lives afterwards.
struct Rights {
  bool known = false;
  uid_t real = 0, effective = 0, saved = 0;
  gid_t effective_group = 0;
  std::vector<gid_t> groups;
  std::uint64_t permitted = 0, bounding = 0;  // capabilities

  static Rights of(pid_t pid);
};

// What the other end of a connection does: keepers, who answer, have given up most of
// their capabilities; who asks one has as many as it, at least.
enum class Role : std::uint8_t { answers, asks };

// Whether another process is the same user as this one: uid, user namespace and,
// because uid 0 alone says little, capabilities: the other must have all that we
// have in the bounding set, or what the keeper service's unit has, and, where it asks,
// permitted (the root of a container that shares our network has not; a keeper has given
// up what it was permitted).
bool is_same_user(pid_t pid, uid_t uid, Role role);

// Who holds the other end of a connection to an abstract name: the pid, or 0
// unless it is the same user as we are (is_same_user) or, where `or_root`, root
// of our user namespace.
pid_t proven_peer(int connection, Role role, bool or_root);

}  // namespace udpcr::keeper
