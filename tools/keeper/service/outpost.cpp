// SPDX-License-Identifier: LGPL-2.1-or-later
#include "outpost.hpp"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "keeper/privileges.hpp"
#include "keeper/proof.hpp"

namespace udpcr::keeper {

namespace {

enum class Ask : std::uint32_t { socket, may_ask };

// The session's end.
UniqueFd outpost;
std::optional<wire::NameOwner> owner_of_session;

UniqueFd socket_here() {
  return UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// One number and at most one fd.
struct Word {
  std::uint32_t number = 0;
  UniqueFd fd;
};

bool say(int channel, std::uint32_t number, int fd) {
  iovec part{&number, sizeof number};
  alignas(cmsghdr) std::array<unsigned char, CMSG_SPACE(sizeof fd)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  return sendmsg(channel, &message, MSG_NOSIGNAL) >= 0;
}

// False at the end.
bool hear(int channel, Word& word) {
  iovec part{&word.number, sizeof word.number};
  alignas(cmsghdr) std::array<unsigned char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = 0;
  do {
    size = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  const cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  if (size > 0 && rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    word.fd = UniqueFd(fd);
  }
  return size == ssize_t{sizeof word.number};
}

void live_in_outpost(int channel) {
  prctl(PR_SET_NAME, "udpcr-outpost");
  for (Word word; hear(channel, word); word = {}) {
    if (Ask(word.number) == Ask::socket) {
      const UniqueFd made = socket_here();
      if (!say(channel, made ? 0 : std::uint32_t(errno), made.get())) return;
    } else if (!say(channel, proven_peer(word.fd.get(), Role::asks, true) != 0 ? 1 : 0, -1)) {
      return;
    }
  }
}

}  // namespace

UniqueFd name_socket() {
  if (!outpost) return socket_here();
  Word answer;
  if (!say(outpost.get(), std::uint32_t(Ask::socket), -1) || !hear(outpost.get(), answer)) {
    errno = ECONNRESET;
    return {};
  }
  errno = int(answer.number);
  return std::move(answer.fd);
}

bool may_ask(int connection) {
  // Of the program's user namespace, or of the service's.
  if (proven_peer(connection, Role::asks, true) != 0) return true;
  if (!outpost) return false;
  Word answer;
  return say(outpost.get(), std::uint32_t(Ask::may_ask), connection) &&
         hear(outpost.get(), answer) && answer.number == 1;
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
