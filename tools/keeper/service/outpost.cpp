// SPDX-License-Identifier: LGPL-2.1-or-later
#include "outpost.hpp"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "keeper/packet.hpp"
#include "keeper/privileges.hpp"
#include "keeper/proof.hpp"
#include "protocol/outpost.h"

namespace udpcr::keeper {

namespace {

// The session's end.
UniqueFd outpost;
std::optional<wire::NameOwner> owner_of_session;

UniqueFd socket_here() {
  return UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

void live_in_outpost(int channel) {
  prctl(PR_SET_NAME, "udpcr-outpost");
  for (Packet packet; await_packet(channel, packet, -1) == Received::packet; packet = {}) {
    if (packet.type() != wire::Type::outpost_ask) continue;
    wire::OutpostAnswer answer;
    UniqueFd made;
    if (packet.as<wire::OutpostAsk>().question == wire::OutpostQuestion::socket) {
      made = socket_here();
      if (!made) answer.error_number = errno;
    } else {
      answer.may =
          packet.fds.size() == 1 && proven_peer(packet.fds.front().get(), Role::asks, true) != 0;
    }
    const int fd = made.get();
    if (!send_packet(channel, &answer, sizeof answer, std::span(&fd, made ? 1 : 0))) return;
  }
}

// Nothing where the outpost does not answer, as one that has been stopped.
std::optional<Packet> ask_outpost(wire::OutpostQuestion question, int fd) {
  constexpr int kPatienceMs = 1000;
  wire::OutpostAsk ask;
  ask.question = question;
  Packet answer;
  try {
    if (send_packet(outpost.get(), &ask, sizeof ask, std::span(&fd, fd >= 0 ? 1 : 0), 0) &&
        await_packet(outpost.get(), answer, kPatienceMs) == Received::packet) {
      return answer;
    }
  } catch (const Error&) {
  }
  return std::nullopt;
}

}  // namespace

UniqueFd name_socket() {
  if (!outpost) return socket_here();
  std::optional<Packet> answer = ask_outpost(wire::OutpostQuestion::socket, -1);
  errno = answer ? answer->as<wire::OutpostAnswer>().error_number : ECONNRESET;
  return answer && answer->fds.size() == 1 ? std::move(answer->fds.front()) : UniqueFd();
}

bool may_ask(int connection) {
  // Of the program's user namespace, or of the service's.
  if (proven_peer(connection, Role::asks, true) != 0) return true;
  if (!outpost) return false;
  const std::optional<Packet> answer = ask_outpost(wire::OutpostQuestion::may_ask, connection);
  return answer && answer->as<wire::OutpostAnswer>().may != 0;
}

wire::NameOwner name_owner() {
  if (owner_of_session) return *owner_of_session;
  struct stat users {};
  stat("/proc/self/ns/user", &users);
  return {0, users.st_ino, geteuid()};
}

void set_name_owner(const wire::NameOwner& owner) { owner_of_session = owner; }

void leave_outpost(uid_t uid) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    throw Error("socketpair: " + std::string(std::strerror(errno)), errno);
  }
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  const pid_t child = fork();
  if (child < 0) {
    throw Error("the service cannot fork: " + std::string(std::strerror(errno)), errno);
  }
  if (child == 0) {
    try {
      ours.reset();
      int channel = theirs.get();
      if (setresuid(uid, uid, uid) != 0) throw Error("setresuid", errno);
      enter_keeper_life(channel, 0);
      live_in_outpost(channel);
    } catch (const Error&) {
      _exit(1);
    }
    _exit(0);
  }
  outpost = std::move(ours);
}

}  // namespace udpcr::keeper
