// SPDX-License-Identifier: LGPL-2.1-or-later
#include "control.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace udpcr::keeper {

namespace {

constexpr int kStartPatienceMs = 500;
constexpr int kStartPollMs = 10;

sockaddr_un control_address(pid_t pid, socklen_t& length) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "udpcr/" + std::to_string(pid);
  // The leading NUL makes the name abstract (unix(7)).
  name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  length = socklen_t(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

uid_t peer_uid(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.uid : uid_t(-1);
}

}  // namespace

UniqueFd listen_for_control(pid_t pid) {
  socklen_t length = 0;
  const sockaddr_un address = control_address(pid, length);
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd || bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      listen(fd.get(), 8) != 0) {
    return {};
  }
  return fd;
}

UniqueFd accept_control(int listener) {
  UniqueFd client(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client) return {};
  const uid_t uid = peer_uid(client.get());
  if (uid != 0 && uid != geteuid()) return {};
  return client;
}

UniqueFd connect_control(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  struct stat process {};
  if (stat(folder.c_str(), &process) != 0) {
    throw Error("there is no process " + std::to_string(pid), errno);
  }
  socklen_t length = 0;
  const sockaddr_un address = control_address(pid, length);
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  int result = -1;
  // A keeper that has just been started listens some milliseconds later.
  for (int waited = 0; waited < kStartPatienceMs; waited += kStartPollMs) {
    result = connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length);
    if (result == 0 || errno != ECONNREFUSED) break;
    poll(nullptr, 0, kStartPollMs);
  }
  if (result != 0) {
    throw Error("process " + std::to_string(pid) +
                    " has no keeper: it was not started under udpcr, has opened no UDP socket yet, "
                    "or its keeper has ended; start it with `udpcr run -- PROGRAM`",
                errno);
  }
  const uid_t uid = peer_uid(fd.get());
  if (uid != 0 && uid != geteuid() && uid != process.st_uid) {
    throw Error("the control socket of process " + std::to_string(pid) + " is held by user " +
                std::to_string(uid) + ", who has nothing to do with it");
  }
  return fd;
}

}  // namespace udpcr::keeper
