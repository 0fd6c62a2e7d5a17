// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Refilling a receive queue through a private port.
#pragma once

#include "socket_restore.hpp"

#include <udpcr/udpcr.hpp>

#include "sock_diag.hpp"
#include "userspace_senders.hpp"

namespace udpcr {

struct Filled {
  std::size_t datagrams = 0;  // counted in the queue
  std::vector<Loss> losses;
};

// `fd`: a new socket, neither bound nor connected, with a receive buffer that
// has room.  It is neither afterwards.
Filled fill_queue(int fd, const SocketState& state, Senders& senders);

class UserspaceFill final : public QueueFill {
 public:
  UserspaceFill(Senders& senders, SockDiag& diag) : senders_(senders), diag_(diag) {}
  void before_bind(int fd, const SocketState& state, Restored& restored) override;
  void bound(int fd, const SocketState& state, Restored& restored) override;
  void finish(int fd, const SocketState& state, Restored& restored) override;

 private:
  Senders& senders_;
  SockDiag& diag_;
};

}  // namespace udpcr
