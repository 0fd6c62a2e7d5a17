// SPDX-License-Identifier: LGPL-2.1-or-later
#include "peer.hpp"

#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "fresh_socket.hpp"
#include "keeper/packet.hpp"
#include "keeper/privileges.hpp"
#include "keeper/proof.hpp"
#include "kernel_numbers.hpp"
#include "outpost.hpp"
#include "persist.hpp"
#include "text_file.hpp"

namespace udpcr::keeper {

namespace {

constexpr int kIdentifyPatienceMs = 5000;
// What an id is that has no number here (kernel.overflowuid).
constexpr uid_t kOverflow = 65534;

ucred credentials(int channel) {
  ucred peer{0, kOverflow, kOverflow};
  socklen_t size = sizeof peer;
  if (getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    throw Error("SO_PEERCRED: " + std::string(std::strerror(errno)), errno);
  }
  return peer;
}

std::vector<gid_t> groups_of(int channel) {
  std::vector<gid_t> groups(32);
  for (;;) {
    auto size = socklen_t(groups.size() * sizeof groups[0]);
    const int result = getsockopt(channel, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
    if (result != 0 && errno != ERANGE) {
      throw Error("SO_PEERGROUPS: " + std::string(std::strerror(errno)), errno);
    }
    groups.resize(size / sizeof groups[0]);
    if (result == 0) return groups;
  }
}

bool sees_every_user() {
  std::istringstream map(read_text_or_nothing("/proc/self/uid_map"));
  std::uint64_t first = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
  return map >> first >> outside >> count && first == 0 && count >= UINT32_MAX;
}

// True as well where that cannot be known.
bool is_in_our_user_namespace(pid_t pid) {
  struct stat ours {};
  struct stat theirs {};
  return stat("/proc/self/ns/user", &ours) != 0 ||
         stat(("/proc/" + std::to_string(pid) + "/ns/user").c_str(), &theirs) != 0 ||
         ours.st_ino == theirs.st_ino;
}

[[noreturn]] void refuse(pid_t pid, const std::string& why) {
  throw Error("process " + std::to_string(pid) + " has connected, and " + why + "; it is refused");
}

}  // namespace

std::uint64_t network_of_peer(int channel) {
  const UniqueFd here(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  // The end that accept(2) gives is in the namespace of who connected
  // (net/unix/af_unix.c, unix_stream_connect, Linux 6.1).
  const std::uint64_t theirs = read_cookie(channel, kSoNetnsCookie);
  return theirs == read_cookie(here.get(), kSoNetnsCookie) ? 0 : theirs;
}

wire::NameOwner owner_of_peer(int channel) {
  const ucred peer = credentials(channel);
  struct stat users {};
  stat(("/proc/" + std::to_string(peer.pid) + "/ns/user").c_str(), &users);
  return {network_of_peer(channel), users.st_ino, peer.uid};
}

Peer::Peer(int channel) : channel_(channel) {
  const ucred peer = credentials(channel);
  pid_ = peer.pid;
  uid_ = peer.uid;
  gid_ = peer.gid;
  groups_ = groups_of(channel);
  if (pid_ <= 0) {
    throw Error(
        "the program's process id is not known to the service, whose pid namespace is another: run "
        "the service in the host's");
  }
  if (uid_ == kOverflow && !sees_every_user()) {
    throw Error(
        "the program's user has no number in the service's user namespace: run the service in the "
        "host's");
  }
}

void Peer::identify() {
  bool by_number = false;
  pidfd_ = pidfd_of_peer(channel_, pid_, by_number);
  if (!pidfd_) throw Error("the program has ended before its keeper ran", errno);
  tell_senders(channel_, true);
  Packet packet;
  // Who knows what is asked answers when it has been asked.
  if (receive_packet(channel_, packet) != Received::nothing) {
    refuse(pid_, "answers before it is asked");
  }
  const Challenge challenge;
  const wire::IdentifyMessage question = challenge.question();
  send_packet(channel_, &question, sizeof question, {});
  pollfd answer{channel_, POLLIN, 0};
  if (persist([&] { return poll(&answer, 1, kIdentifyPatienceMs); }) != 1 ||
      receive_packet(channel_, packet) != Received::packet) {
    refuse(pid_, "does not answer");
  }
  tell_senders(channel_, false);
  if (packet.data.size() != sizeof question || !packet.fds.empty() ||
      !challenge.is_answered_by(packet.as<wire::IdentifyMessage>())) {
    refuse(pid_, "does not answer what it was asked");
  }
  if (packet.sender.pid != pid_) {
    refuse(pid_, "process " + std::to_string(packet.sender.pid) + " answers in its place");
  }
  // A message tells the real numbers, a connection the effective ones.
  const Rights now = Rights::of(pid_);
  if (!now.known) {
    throw Error("/proc/" + std::to_string(pid_) +
                "/status does not tell the service who the program is: mount /proc for it");
  }
  std::vector<gid_t> groups = groups_;
  std::sort(groups.begin(), groups.end());
  if (now.effective != uid_ || now.effective_group != gid_ || now.groups != groups ||
      packet.sender.uid != now.real) {
    refuse(pid_, "is not the user any more that it was then");
  }
  bounding_ = now.bounding;
  if (!lives(pidfd_)) throw Error("the program has ended before its keeper ran");
}

void Peer::enter_namespaces() const {
  const bool other_users = !is_in_our_user_namespace(pid_);
  const std::uint64_t network = network_of_peer(channel_);
  const int kinds = (other_users ? CLONE_NEWUSER : 0) | (network != 0 ? CLONE_NEWNET : 0);
  if (kinds == 0) return;
  leave_outpost(uid_);
  if (setns(pidfd_.get(), kinds) == 0) return;
  throw Error("the service may not enter the program's " +
                  std::string(other_users ? "user" : "network") + " namespace (" +
                  std::strerror(errno) + "): run it as root of the host",
              errno);
}

void Peer::limit_bounding_set() const {
  for (unsigned one = 0; one < 64; ++one) {
    if ((bounding_ >> one & 1) == 0) prctl(PR_CAPBSET_DROP, one, 0, 0, 0);
  }
}

void Peer::become() const {
  const uid_t service = geteuid();
  // One that may not change its groups serves its own user, whose groups it has.
  if ((setgroups(groups_.size(), groups_.data()) != 0 || setresgid(gid_, gid_, gid_) != 0) &&
      uid_ != service) {
    throw Error("the keeper service runs as user " + std::to_string(service) + " and user " +
                    std::to_string(uid_) + " asks (" + std::strerror(errno) +
                    "): run it as root, which serves everybody",
                errno);
  }
  set_name_owner(owner_of_peer(channel_));
  // What the program can never have again tells root from root of a container; another
  // user namespace brings it all back.
  limit_bounding_set();
  enter_namespaces();
  limit_bounding_set();
  // Its number may be another now.
  const uid_t uid = credentials(channel_).uid;
  if (setresuid(uid, uid, uid) != 0) {
    throw Error("the service cannot become user " + std::to_string(uid) + " (" +
                    std::strerror(errno) + "): give the program a user that has a number there",
                errno);
  }
  enter_session_life(0);
}

}  // namespace udpcr::keeper
