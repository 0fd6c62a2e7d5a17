// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fd_store.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "keeper/alive.hpp"
#include "wire.h"

namespace udpcr::keeper {

namespace {

// A manager that is busy for longer is one that does not answer.
constexpr int kPatienceMs = 5000;

bool is_closed_elsewhere(int pipe, int patience_ms) {
  pollfd end{pipe, 0, 0};
  return poll_alive(&end, 1, patience_ms) == 1 && (end.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace

std::string FdStore::name_of(const ParkKey& key) {
  constexpr char digits[] = "0123456789abcdef";
  std::string name = wire::kStoredPrefix;
  for (const auto byte : key.bytes()) {
    name += digits[unsigned(byte) >> 4];
    name += digits[unsigned(byte) & 15];
  }
  return name;
}

std::optional<FdStore> FdStore::open(bool has_some, std::string& why) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return {};
  sockaddr_un address{};
  const std::size_t size = std::strlen(path);
  if (size >= sizeof address.sun_path) return {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, size);
  if (path[0] == '@') address.sun_path[0] = '\0';
  UniqueFd manager(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const timeval patience{kPatienceMs / 1000, 0};
  if (!manager ||
      setsockopt(manager.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
      connect(manager.get(), reinterpret_cast<const sockaddr*>(&address),
              socklen_t(offsetof(sockaddr_un, sun_path) + size)) != 0) {
    why = "NOTIFY_SOCKET " + std::string(path) + " is not to be had (" + std::strerror(errno) + ")";
    return {};
  }
  FdStore store(std::move(manager));
  if (!has_some && !store.has_room()) {
    why =
        "the service manager keeps no sockets for it (FileDescriptorStoreMax= and "
        "NotifyAccess=all of its unit ask for that)";
    return {};
  }
  return store;
}

bool FdStore::tell(const std::string& message, int fd) const {
  iovec text{const_cast<char*>(message.data()), message.size()};
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr packet{};
  packet.msg_iov = &text;
  packet.msg_iovlen = 1;
  if (fd >= 0) {
    packet.msg_control = control;
    packet.msg_controllen = sizeof control;
    cmsghdr* const rights = CMSG_FIRSTHDR(&packet);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  return sendmsg(manager_.get(), &packet, MSG_NOSIGNAL) >= 0;
}

bool FdStore::wait() const {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  const UniqueFd mine(ends[0]);
  UniqueFd theirs(ends[1]);
  if (!tell("BARRIER=1", theirs.get())) return false;
  theirs.reset();
  return is_closed_elsewhere(mine.get(), kPatienceMs);
}

bool FdStore::has_room() const {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  const UniqueFd mine(ends[0]);
  UniqueFd theirs(ends[1]);
  // FDPOLL=0: it would drop what has an error pending.
  const bool told =
      tell("FDSTORE=1\nFDPOLL=0\nFDNAME=" + std::string(wire::kStoredTest), theirs.get());
  theirs.reset();
  if (!told || !wait()) return false;
  const bool kept = !is_closed_elsewhere(mine.get(), 0);
  // Of a process that has ended the manager believes nothing, so that is awaited.
  if (kept) {
    tell("FDSTOREREMOVE=1\nFDNAME=" + std::string(wire::kStoredTest));
    wait();
  }
  return kept;
}

bool FdStore::keep(const ParkKey& key, std::uint64_t inode, int socket) {
  const auto known = names_.find(inode);
  const std::string name = name_of(key);
  // It would keep its name otherwise.
  if (known != names_.end()) tell("FDSTOREREMOVE=1\nFDNAME=" + known->second);
  if (full_ || (known == names_.end() && names_.size() >= wire::kMostStored) ||
      !tell("FDSTORE=1\nFDPOLL=0\nFDNAME=" + name, socket)) {
    names_.erase(inode);
    return false;
  }
  names_[inode] = name;
  return true;
}

bool FdStore::keeps_all() {
  if (!full_) full_ = !has_room();
  return !full_;
}

void FdStore::drop(std::uint64_t inode) {
  const auto known = names_.find(inode);
  if (known == names_.end()) return;
  tell("FDSTOREREMOVE=1\nFDNAME=" + known->second);
  names_.erase(known);
  wait();
}

}  // namespace udpcr::keeper
