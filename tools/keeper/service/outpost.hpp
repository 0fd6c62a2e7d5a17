// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where keepers are found: abstract Unix sockets (unix(7)) in the network
// namespace that the keeper was started in.  A session of a keeper service may
// have gone to the namespaces of its program; a small process of its own, its
// outpost, then stays in the service's and makes sockets there.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <udpcr/udpcr.hpp>

namespace udpcr::keeper {

// A new SOCK_SEQPACKET socket, not blocking, for an abstract name.  None, with
// errno.
UniqueFd name_socket();

// Whether who connected may ask this keeper for something: root and its own user
// may.
bool may_ask(int connection);

// What tells programs of one name apart that are in different network namespaces:
// 0 in the one where keepers are found, else its SO_NETNS_COOKIE.
std::uint64_t name_place();

// Forks the outpost, as user `uid`, which ends with the caller; name_socket() and
// may_ask() go by it from here on.  `place`: where the caller goes.  Throws Error.
void leave_outpost(uid_t uid, std::uint64_t place);

}  // namespace udpcr::keeper
