// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How a socket got its address, as the shim saw it and as a record says it.
#pragma once

#include <udpcr/udpcr_netlink.h>

#include <cstdint>

#include "wire.h"

namespace udpcr::keeper {

// UDPCR_SOCK_* for wire::kFd*.
constexpr std::uint32_t origin_flags(std::uint32_t told) {
  if ((told & wire::kFdOriginKnown) == 0) return 0;
  std::uint32_t flags = UDPCR_SOCK_ORIGIN_KNOWN;
  if ((told & wire::kFdBound) != 0) flags |= UDPCR_SOCK_BOUND;
  if ((told & wire::kFdBoundPort) != 0) flags |= UDPCR_SOCK_BOUND_PORT;
  if ((told & wire::kFdBoundAddress) != 0) flags |= UDPCR_SOCK_BOUND_ADDR;
  return flags;
}

}  // namespace udpcr::keeper
