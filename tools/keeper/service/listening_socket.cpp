// SPDX-License-Identifier: LGPL-2.1-or-later
#include "listening_socket.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "keeper/identity.hpp"

namespace udpcr::keeper {

namespace {

constexpr int kBacklog = 1024;

struct Name {
  sockaddr_un address{};

  explicit Name(const std::string& path) {
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

int number(const char* variable) {
  const char* const value = std::getenv(variable);
  return value == nullptr ? 0 : std::atoi(value);
}

int option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

// Empty: none was handed down.
UniqueFd handed_down() {
  if (number("LISTEN_PID") != getpid() || number("LISTEN_FDS") < 1) return {};
  UniqueFd fd(kFirstListenFd);
  if (option(fd.get(), SO_DOMAIN) != AF_UNIX || option(fd.get(), SO_TYPE) != SOCK_SEQPACKET ||
      option(fd.get(), SO_ACCEPTCONN) != 1) {
    throw Error(
        "the socket that the service manager hands down is not a listening Unix socket of type "
        "SOCK_SEQPACKET: use ListenSequentialPacket= in its unit");
  }
  fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd;
}

UniqueFd new_socket() {
  return UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// While it lives, no other service looks at sockets of this folder.
UniqueFd folder_in_turn(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || flock(fd.get(), LOCK_EX) != 0) {
    throw Error("the keeper service cannot listen at " + path + ": folder " + folder + ": " +
                    std::strerror(errno) + "; make it first",
                errno);
  }
  return fd;
}

void remove_stale(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) {
    throw Error("the keeper service cannot listen at " + path +
                ": something that is no socket stands there; remove it, or give another path");
  }
  const Name name(path);
  const UniqueFd probe = new_socket();
  // EAGAIN: its queue is full.
  if (connect(probe.get(), name.get(), sizeof name.address) == 0 || errno != ECONNREFUSED) {
    throw Error("the keeper service cannot listen at " + path + ": another service is there (" +
                std::strerror(errno) + "); end it first, or give another path");
  }
  unlink(path.c_str());
}

}  // namespace

ListeningSocket::ListeningSocket(const std::string& path, mode_t mode)
    : path_(path), fd_(handed_down()) {
  if (fd_) {
    path_.clear();
  } else {
    make(mode);
  }
}

void ListeningSocket::make(mode_t mode) {
  const Name name(path_);
  const UniqueFd turn = folder_in_turn(path_);
  remove_stale(path_);
  fd_ = new_socket();
  const mode_t before = umask(~mode & 0777);
  const bool bound = fd_ && bind(fd_.get(), name.get(), sizeof name.address) == 0;
  const int error = errno;
  umask(before);
  if (!bound || listen(fd_.get(), kBacklog) != 0) {
    throw Error("the keeper service cannot listen at " + path_ + ": " +
                    std::strerror(bound ? errno : error) +
                    "; make its folder writable for the service, or give another path",
                error);
  }
  stat(path_.c_str(), &made_);
}

ListeningSocket::~ListeningSocket() {
  struct stat now {};
  if (!fd_ || path_.empty() || lstat(path_.c_str(), &now) != 0) return;
  if (now.st_dev == made_.st_dev && now.st_ino == made_.st_ino) unlink(path_.c_str());
}

void ListeningSocket::forget() {
  fd_.reset();
  path_.clear();
}

}  // namespace udpcr::keeper
