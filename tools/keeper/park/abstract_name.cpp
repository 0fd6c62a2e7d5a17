// SPDX-License-Identifier: LGPL-2.1-or-later
#include "abstract_name.hpp"

#include <fcntl.h>

#include <cstddef>

#include "keeper/service/outpost.hpp"

namespace udpcr::keeper {

AbstractName::AbstractName(const std::string& name) {
  address.sun_family = AF_UNIX;
  const std::size_t copied = name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  length = socklen_t(offsetof(sockaddr_un, sun_path) + 1 + copied);
}

UniqueFd listen_on(const AbstractName& name) {
  UniqueFd fd = name_socket();
  if (!fd || bind(fd.get(), name.get(), name.length) != 0 || listen(fd.get(), 8) != 0) return {};
  return fd;
}

UniqueFd connect_to(const AbstractName& name) {
  UniqueFd fd = name_socket();
  if (!fd || fcntl(fd.get(), F_SETFL, 0) != 0 || connect(fd.get(), name.get(), name.length) != 0)
    return {};
  return fd;
}

UniqueFd accept_own(int listener) {
  UniqueFd client(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client || !may_ask(client.get())) return {};
  return client;
}

ucred peer_of(int fd) {
  ucred peer{0, uid_t(-1), gid_t(-1)};
  socklen_t size = sizeof peer;
  getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
  return peer;
}

}  // namespace udpcr::keeper
