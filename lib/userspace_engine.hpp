// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The engine that needs no kernel module: getsockopt, SO_PEEK_OFF, MCAST_MSFILTER,
// SO_GET_FILTER and sock_diag to capture, ordinary calls and injected datagrams
// to restore.
#pragma once

#include <chrono>
#include <list>
#include <udpcr/udpcr.hpp>

#include "options.hpp"
#include "socket_facts.hpp"
#include "userspace_reader.hpp"

namespace udpcr {

// What a new socket of one kind has in each option.
struct FreshSocket {
  int family = 0;
  int protocol = 0;
  std::chrono::steady_clock::time_point read_at;
  std::uint64_t netns = 0;  // SO_NETNS_COOKIE; 0: the kernel does not tell
  std::vector<std::pair<const OptionRow*, std::optional<Bytes>>> values;
};

// Remembered for a second: administrators change defaults (sysctl).
class FreshSockets {
 public:
  const FreshSocket& like(int family, int protocol);

 private:
  std::list<FreshSocket> known_;
};

class UserspaceEngine final : public Engine {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "userspace"; }
  SocketState capture(int fd, const CaptureOptions& options) override;
  MessageStream take_rest(int fd, std::size_t already, QueueEnd end) override;
  Restored restore(const SocketState& state, const RestoreOptions& options) override;
  [[nodiscard]] std::vector<Loss> limits() const override;

 private:
  QueueReader reader_;
  Memberships memberships_;
  FreshSockets fresh_;
};

// Everything but the queue.
SocketRecord read_record(int fd, std::uint32_t origin_flags, const FreshSocket& fresh);

// Restores one socket; see userspace_restore.cpp for the steps.
Restored restore_socket(const SocketState& state, const RestoreOptions& options,
                        const FreshSocket& fresh);

// What this engine cannot keep on this machine for this user.
std::vector<Loss> userspace_limits();

// True when this process may open raw sockets (CAP_NET_RAW in the user
// namespace of its network namespace).
bool may_send_raw() noexcept;

}  // namespace udpcr
