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

#include "wire.h"

namespace udpcr::keeper {

// A new SOCK_SEQPACKET socket, not blocking, for an abstract name.  None, with
// errno.
UniqueFd name_socket();

// Whether who connected may ask this keeper for something: root and its own user
// may, of the same user namespace (keeper/proof.hpp).
bool may_ask(int connection);

// Whose names keepers of this program have.
wire::NameOwner name_owner();
// In a session, before it becomes its program's user.
void set_name_owner(const wire::NameOwner& owner);

// Forks the outpost, as user `uid`, which ends with the caller; name_socket() and
// may_ask() go by it from here on.  Throws Error.
void leave_outpost(uid_t uid);

}  // namespace udpcr::keeper
