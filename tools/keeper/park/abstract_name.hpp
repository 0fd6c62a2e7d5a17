// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Abstract Unix sockets (unix(7)): names of a network namespace that go when
// their socket is closed.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>
#include <udpcr/udpcr.hpp>

namespace udpcr::keeper {

struct AbstractName {
  sockaddr_un address{};
  socklen_t length = 0;

  explicit AbstractName(const std::string& name);
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// A listening SOCK_SEQPACKET socket; empty when the name is taken.
UniqueFd listen_on(const AbstractName& name);
// Empty, with errno, when nobody listens.
UniqueFd connect_to(const AbstractName& name);
// Empty when nobody asks, or somebody who may not: root and our own user may.
UniqueFd accept_own(int listener);

// Who made the other end.
ucred peer_of(int fd);

}  // namespace udpcr::keeper
