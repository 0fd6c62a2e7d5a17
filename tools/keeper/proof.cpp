// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proof.hpp"

#include <linux/capability.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <sstream>

#include "persist.hpp"
#include "text_file.hpp"

// Of asm-generic/socket.h, Linux 6.5.
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace udpcr::keeper {

bool tell_senders(int channel, bool on) {
  const int value = on ? 1 : 0;
  // The first is all that kernels before 6.5 have.
  setsockopt(channel, SOL_SOCKET, SO_PASSCRED, &value, sizeof value);
  return setsockopt(channel, SOL_SOCKET, SO_PASSPIDFD, &value, sizeof value) == 0;
}

bool lives(const UniqueFd& pidfd) {
  pollfd exit{pidfd.get(), POLLIN, 0};
  return pidfd && persist([&] { return poll(&exit, 1, 0); }) == 0;
}

UniqueFd pidfd_of(pid_t pid) { return UniqueFd(int(syscall(SYS_pidfd_open, pid, 0))); }

UniqueFd pidfd_of_peer(int channel, pid_t pid, bool& by_number) {
  int fd = -1;
  socklen_t size = sizeof fd;
  by_number = false;
  if (getsockopt(channel, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0) return UniqueFd(fd);
  // ESRCH: it has ended.
  if (errno != ENOPROTOOPT) return {};
  by_number = true;
  return pidfd_of(pid);
}

Challenge::Challenge() {
  if (persist([&] { return getrandom(nonce_.data(), nonce_.size(), 0); }) !=
      ssize_t(nonce_.size())) {
    throw Error("getrandom: " + std::string(std::strerror(errno)), errno);
  }
}

wire::IdentifyMessage Challenge::question() const {
  wire::IdentifyMessage question{};
  question.header = {wire::Type::identify, wire::kVersion};
  std::memcpy(question.nonce, nonce_.data(), nonce_.size());
  return question;
}

bool Challenge::is_answered_by(const wire::IdentifyMessage& answer) const {
  return answer.header.type == wire::Type::identified &&
         std::memcmp(answer.nonce, nonce_.data(), nonce_.size()) == 0;
}

bool is_nameless_pair(int channel) {
  const auto number = [channel](int option) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(channel, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
  };
  const auto is_nameless = [channel](auto get) {
    sockaddr_un name{};
    socklen_t size = sizeof name;
    return get(channel, reinterpret_cast<sockaddr*>(&name), &size) == 0 &&
           size <= offsetof(sockaddr_un, sun_path);
  };
  return number(SO_DOMAIN) == AF_UNIX && number(SO_TYPE) == SOCK_SEQPACKET &&
         number(SO_ACCEPTCONN) == 0 && is_nameless(getsockname) && is_nameless(getpeername);
}

Rights Rights::of(pid_t pid) {
  std::istringstream file(read_text_or_nothing("/proc/" + std::to_string(pid) + "/status"));
  Rights rights;
  int found = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string name;
    fields >> name;
    if (name == "Uid:") {
      found += fields >> rights.real >> rights.effective >> rights.saved ? 1 : 0;
    } else if (name == "Gid:") {
      gid_t real = 0;
      found += fields >> real >> rights.effective_group ? 1 : 0;
    } else if (name == "Groups:") {
      rights.groups.assign(std::istream_iterator<gid_t>(fields), {});
    } else if (name == "CapPrm:") {
      found += fields >> std::hex >> rights.permitted ? 1 : 0;
    } else if (name == "CapBnd:") {
      found += fields >> std::hex >> rights.bounding ? 1 : 0;
    }
  }
  rights.known = found == 4;
  return rights;
}

namespace {

// A process that is not dumpable, as keepers are, hides its namespaces from all
// but root; how its users are mapped it shows to everybody.
bool is_in_our_user_namespace(pid_t pid) {
  const std::string theirs = "/proc/" + std::to_string(pid);
  struct stat here {};
  struct stat there {};
  if (stat("/proc/self/ns/user", &here) == 0 && stat((theirs + "/ns/user").c_str(), &there) == 0) {
    return here.st_ino == there.st_ino && here.st_dev == there.st_dev;
  }
  const std::string map = read_text_or_nothing(theirs + "/uid_map");
  return !map.empty() && map == read_text_or_nothing("/proc/self/uid_map") &&
         read_text_or_nothing(theirs + "/gid_map") == read_text_or_nothing("/proc/self/gid_map");
}

bool has_all(std::uint64_t theirs, std::uint64_t ours) { return (ours & ~theirs) == 0; }

// The bounding set of the keeper service's unit: a session has this, or less, and must
// have what root's other keepers have.  A container's root lacks the last two.
constexpr std::uint64_t kOfService =
    std::uint64_t{1} << CAP_SETGID | std::uint64_t{1} << CAP_SETUID |
    std::uint64_t{1} << CAP_SYS_PTRACE | std::uint64_t{1} << CAP_SYS_ADMIN;

// kmod/park.c goes by the same.
bool is_bounded_as_we(const Rights& theirs, const Rights& ours) {
  return has_all(theirs.bounding, ours.bounding) || has_all(theirs.bounding, kOfService);
}

}  // namespace

bool is_same_user(pid_t pid, uid_t uid, Role role) {
  if (uid != geteuid() || !is_in_our_user_namespace(pid)) return false;
  if (uid != 0) return true;
  const Rights ours = Rights::of(getpid());
  const Rights theirs = Rights::of(pid);
  return ours.known && theirs.known && is_bounded_as_we(theirs, ours) &&
         (role == Role::answers || has_all(theirs.permitted, ours.permitted));
}

pid_t proven_peer(int connection, Role role, bool or_root) {
  ucred peer{0, uid_t(-1), gid_t(-1)};
  socklen_t size = sizeof peer;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) return 0;
  bool by_number = false;
  const UniqueFd pidfd = pidfd_of_peer(connection, peer.pid, by_number);
  if (!pidfd) return 0;
  bool proven = is_same_user(peer.pid, peer.uid, role);
  if (!proven && or_root && peer.uid == 0 && geteuid() != 0) {
    // A user has no capability to compare with: root of a container shows by what he
    // has lost.
    const Rights ours = Rights::of(getpid());
    const Rights theirs = Rights::of(peer.pid);
    proven = is_in_our_user_namespace(peer.pid) && theirs.known && is_bounded_as_we(theirs, ours);
  }
  return proven && lives(pidfd) ? peer.pid : 0;
}

}  // namespace udpcr::keeper
