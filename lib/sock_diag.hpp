// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// What sock_diag(7) alone tells of a socket without the kernel module.
struct DiagFacts {
  std::uint8_t shutdown = 0;  // as UDPCR_A_SHUTDOWN
  std::uint64_t cgroup = 0;   // 0: not told
};

// Asks in the network namespace in which it is used first.
class SockDiag {
 public:
  // Of a bound socket; empty when the kernel does not say (no udp_diag).  Throws
  // Error when it could not be asked.
  std::optional<DiagFacts> facts(const SocketRecord& record);

 private:
  std::optional<DiagFacts> ask(const void* request, std::size_t size, const SocketRecord& record);
  std::optional<DiagFacts> ask_once(const void* request, std::size_t size,
                                    const SocketRecord& record);

  UniqueFd netlink_;
};

}  // namespace udpcr
