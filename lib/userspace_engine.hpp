// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The engine that needs no kernel module: getsockopt, SO_PEEK_OFF, MCAST_MSFILTER,
// SO_GET_FILTER and sock_diag to capture, ordinary calls and injected datagrams
// to restore.
#pragma once

#include <udpcr/udpcr.hpp>

#include "fresh_socket.hpp"
#include "socket_facts.hpp"
#include "userspace_reader.hpp"
#include "userspace_senders.hpp"

namespace udpcr {

// Belongs to the network namespace in which it is used first.
class UserspaceEngine final : public Engine {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "userspace"; }
  SocketState capture(int fd, const CaptureOptions& options) override;
  MessageStream take_rest(int fd, std::size_t already, QueueEnd end) override;
  Restored restore(const SocketState& state, const RestoreOptions& options) override;
  [[nodiscard]] std::vector<Loss> limits() const override;

 private:
  SocketState read_state(int fd, const CaptureOptions& options);

  QueueReader reader_;
  FactSources sources_;
  FreshSockets fresh_{read_by_getsockopt};
  Senders senders_;
};

// Everything but the queue.
SocketRecord read_record(int fd, std::uint32_t origin_flags, const FreshSocket& fresh);

// What this engine cannot keep on this machine for this user.
std::vector<Loss> userspace_limits();

// True when this process may open raw sockets (CAP_NET_RAW in the user
// namespace of its network namespace).
bool may_send_raw() noexcept;

}  // namespace udpcr
