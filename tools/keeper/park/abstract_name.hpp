// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Abstract Unix sockets (unix(7)): names of a network namespace that go when
// their socket is closed.  Anybody may take any name, so a name proves nothing:
// who looks for a keeper asks the kernel who holds it (keeper/proof.hpp), and a
// name that another user holds is passed over.  Therefore what is to be found
// has a series of names: STEM/0 to STEM/7, and where others hold those
// STEM/ and a random number, which is found in the list of all names.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <functional>
#include <string>
#include <udpcr/udpcr.hpp>
#include <vector>

namespace udpcr::keeper {

struct AbstractName {
  sockaddr_un address{};
  socklen_t length = 0;

  explicit AbstractName(const std::string& name);
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// A listening SOCK_SEQPACKET socket; empty when the name is taken.
UniqueFd listen_on(const AbstractName& name);
// Does not block.  Empty, with errno: ECONNREFUSED nobody listens, EAGAIN there is no
// room for one more.
UniqueFd connect_to(const AbstractName& name);
// Empty when nobody asks, or somebody who may not: root and our own user may.
UniqueFd accept_own(int listener);

// Who made the other end, as it says for messages to people.
ucred peer_of(int fd);

// Whether a holder of a name, who is connected to, counts.
using Accepts = std::function<bool(int connection)>;
// The same user as we are, or root: see proven_peer().
bool is_ours(int connection);
bool is_ours_or_root(int connection);

std::string name_in(const std::string& stem, unsigned number);
// Listens at the first name of the series that is free.  `fixed`: one of the eight.
UniqueFd listen_in(const std::string& stem, bool& fixed);
// At one of the eight; empty when none is free.
UniqueFd listen_in_fixed(const std::string& stem);

// Connections to the holders that count, each with its name.  Waits at most 10 ms, for
// those that have no room.
struct Holder {
  std::string name;
  UniqueFd connection;
};
std::vector<Holder> find_in(const std::string& stem, const Accepts& accepts);

// All names that begin so and are listened at, in our network namespace.
std::vector<std::string> listed_names(const std::string& start);

}  // namespace udpcr::keeper
