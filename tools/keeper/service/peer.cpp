// SPDX-License-Identifier: LGPL-2.1-or-later
#include "peer.hpp"

#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "fresh_socket.hpp"
#include "keeper/packet.hpp"
#include "keeper/privileges.hpp"
#include "keeper/process.hpp"
#include "kernel_numbers.hpp"
#include "outpost.hpp"

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
  std::ifstream map("/proc/self/uid_map");
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

void set_passing(int channel, int on) {
  setsockopt(channel, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
}

// Who sent the next packet, an `identified`; 0 when it is not that.
pid_t sender_of_identified(int channel) {
  pollfd answer{channel, POLLIN, 0};
  if (poll(&answer, 1, kIdentifyPatienceMs) != 1) return 0;
  wire::WireHeader header{};
  iovec part{&header, sizeof header};
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(ucred))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  const cmsghdr* const first = CMSG_FIRSTHDR(&message);
  if (size != sizeof header || header.type != wire::Type::identified || first == nullptr ||
      first->cmsg_type != SCM_CREDENTIALS) {
    return 0;
  }
  ucred sender{};
  std::memcpy(&sender, CMSG_DATA(first), sizeof sender);
  return sender.pid;
}

}  // namespace

std::uint64_t network_of_peer(int channel) {
  const UniqueFd here(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  // The end that accept(2) gives is in the namespace of who connected
  // (net/unix/af_unix.c, unix_stream_connect, Linux 6.1).
  const std::uint64_t theirs = read_cookie(channel, kSoNetnsCookie);
  return theirs == read_cookie(here.get(), kSoNetnsCookie) ? 0 : theirs;
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

// A process id may be another's by now, and so its capabilities: the kernel is
// asked who answers while a pidfd keeps that number from being given away.
void Peer::identify() {
  pidfd_ = UniqueFd(int(syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_) throw Error("the program has ended before its keeper ran", errno);
  set_passing(channel_, 1);
  const wire::WireHeader question{wire::Type::identify, wire::kVersion};
  send_packet(channel_, &question, sizeof question, {});
  const bool answered = sender_of_identified(channel_) == pid_;
  set_passing(channel_, 0);
  capabilities_ = permitted_capabilities(pid_);
  pollfd end{pidfd_.get(), POLLIN, 0};
  if (!answered || poll(&end, 1, 0) != 0) {
    throw Error("process " + std::to_string(pid_) +
                " has connected, and does not answer itself; it is refused");
  }
}

void Peer::enter_namespaces() const {
  const bool other_users = !is_in_our_user_namespace(pid_);
  const std::uint64_t network = network_of_peer(channel_);
  const int kinds = (other_users ? CLONE_NEWUSER : 0) | (network != 0 ? CLONE_NEWNET : 0);
  if (kinds == 0) return;
  leave_outpost(uid_, network);
  if (setns(pidfd_.get(), kinds) == 0) return;
  throw Error("the service may not enter the program's " +
                  std::string(other_users ? "user" : "network") + " namespace (" +
                  std::strerror(errno) + "): run it as root of the host",
              errno);
}

void Peer::become() const {
  const uid_t service = geteuid();
  // One that may not change its groups serves its own user, whose groups it has.
  if ((setgroups(groups_.size(), groups_.data()) != 0 || setresgid(gid_, gid_, gid_) != 0 ||
       prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) &&
      uid_ != service) {
    throw Error("the keeper service runs as user " + std::to_string(service) + " and user " +
                    std::to_string(uid_) + " asks (" + std::strerror(errno) +
                    "): run it as root, which serves everybody",
                errno);
  }
  enter_namespaces();
  // Its number may be another now.
  const uid_t uid = credentials(channel_).uid;
  if (setresuid(uid, uid, uid) != 0) {
    throw Error("the service cannot become user " + std::to_string(uid) + " (" +
                    std::strerror(errno) + "): give the program a user that has a number there",
                errno);
  }
  enter_session_life(capabilities_);
}

}  // namespace udpcr::keeper
