// SPDX-License-Identifier: LGPL-2.1-or-later
#include "abstract_name.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <sstream>

#include "keeper/proof.hpp"
#include "keeper/service/outpost.hpp"
#include "persist.hpp"
#include "text_file.hpp"
#include "wire.h"

namespace udpcr::keeper {

namespace {

// Those who are turned away are taken out of it as fast as they come.
constexpr int kBacklog = 128;
// For a holder that has no room for one more, all names of a series together.
constexpr int kRoomPatienceMs = 10;

}  // namespace

AbstractName::AbstractName(const std::string& name) {
  address.sun_family = AF_UNIX;
  const std::size_t copied = name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  length = socklen_t(offsetof(sockaddr_un, sun_path) + 1 + copied);
}

UniqueFd listen_on(const AbstractName& name) {
  UniqueFd fd = name_socket();
  if (!fd || bind(fd.get(), name.get(), name.length) != 0 || listen(fd.get(), kBacklog) != 0) {
    return {};
  }
  return fd;
}

UniqueFd connect_to(const AbstractName& name) {
  UniqueFd fd = name_socket();
  if (!fd || connect(fd.get(), name.get(), name.length) != 0) {
    const int error = errno;
    fd.reset();
    errno = error;
  }
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

bool is_ours(int connection) { return proven_peer(connection, Role::answers, false) != 0; }

bool is_ours_or_root(int connection) { return proven_peer(connection, Role::answers, true) != 0; }

std::string name_in(const std::string& stem, unsigned number) {
  return stem + "/" + std::to_string(number);
}

UniqueFd listen_in_fixed(const std::string& stem) {
  for (unsigned number = 0; number < wire::kFixedNames; ++number) {
    UniqueFd fd = listen_on(AbstractName(name_in(stem, number)));
    if (fd) return fd;
  }
  return {};
}

UniqueFd listen_in(const std::string& stem, bool& fixed) {
  UniqueFd fd = listen_in_fixed(stem);
  fixed = bool(fd);
  if (fixed) return fd;
  std::uint64_t random = 0;
  if (persist([&] { return getrandom(&random, sizeof random, 0); }) != ssize_t{sizeof random}) {
    return {};
  }
  char number[20];
  std::snprintf(number, sizeof number, "%016" PRIx64, random);
  return listen_on(AbstractName(stem + "/" + number));
}

std::vector<std::string> listed_names(const std::string& start) {
  std::vector<std::string> names;
  std::istringstream table(read_text("/proc/net/unix"));
  const std::string mark = " @" + start;
  for (std::string line; std::getline(table, line);) {
    const std::size_t place = line.find(mark);
    if (place == std::string::npos) continue;
    std::string name = line.substr(place + 2);
    // The connections of a listener have its name too.
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

std::vector<Holder> find_in(const std::string& stem, const Accepts& accepts) {
  std::vector<Holder> found;
  int waited_ms = 0;
  // False: nobody listens there.
  const auto look = [&](const std::string& name) {
    UniqueFd connection = connect_to(AbstractName(name));
    while (!connection && errno == EAGAIN && waited_ms < kRoomPatienceMs) {
      poll(nullptr, 0, 1);
      ++waited_ms;
      connection = connect_to(AbstractName(name));
    }
    if (!connection) return errno == EAGAIN;
    if (accepts(connection.get())) found.push_back({name, std::move(connection)});
    return true;
  };
  unsigned held = 0;
  for (unsigned number = 0; number < wire::kFixedNames; ++number) {
    if (look(name_in(stem, number))) ++held;
  }
  // None of others, and one is free: nobody had to go elsewhere.
  if (held == found.size() && held < wire::kFixedNames) return found;
  for (const std::string& name : listed_names(stem + "/")) {
    if (name.size() > stem.size() + 2) look(name);
  }
  return found;
}

}  // namespace udpcr::keeper
