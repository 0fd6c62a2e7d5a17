// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The engine that asks the kernel module: one request for the record, one for
// the queue; restored by ordinary calls, and the queue put in front of what has
// arrived on the bound socket.
#pragma once

#include <udpcr/udpcr.hpp>

#include "fresh_socket.hpp"
#include "module_client.hpp"
#include "socket_restore.hpp"

namespace udpcr {

// Belongs to the network namespace in which it is made.
class ModuleEngine final : public Engine {
 public:
  // `substitute`: for sockets that the module refuses; null: then they fail.
  // Throws Error when the module is not there.
  explicit ModuleEngine(std::unique_ptr<Engine> substitute);

  [[nodiscard]] std::string_view name() const noexcept override { return "module"; }
  SocketState capture(int fd, const CaptureOptions& options) override;
  MessageStream take_rest(int fd, std::size_t already, QueueEnd end) override;
  void settle_rest(bool stored) override;
  Restored restore(const SocketState& state, const RestoreOptions& options) override;
  [[nodiscard]] std::vector<Loss> limits() const override;

 private:
  SocketState capture_through_module(int fd, const CaptureOptions& options);
  void read_queues(int fd, Queues wanted, SocketState& state);
  SocketRecord read_record(int fd, std::vector<std::uint16_t>& unknown);
  // A number for a list that none of ours has.
  std::uint32_t new_handle() noexcept { return ++last_handle_; }

  ModuleClient client_;
  std::unique_ptr<Engine> substitute_;
  FreshSockets fresh_;
  std::uint32_t last_handle_ = 0;
  std::vector<std::uint32_t> taken_;  // lists that take_rest() has begun
};

// The queues through UDPCR_CMD_STAGE, DATAGRAM and PUT; error, counters and
// whose choice the port was through SET.
class ModuleFill final : public QueueFill {
 public:
  // The numbers of two lists, free.
  ModuleFill(ModuleClient& client, std::uint32_t receive, std::uint32_t errors)
      : client_(client), receive_(receive), errors_(errors) {}
  void before_bind(int fd, const SocketState& state, Restored& restored) override;
  void bound(int fd, const SocketState& state, Restored& restored) override;
  bool forget_port(int fd, const SocketRecord& record) override;
  void finish(int fd, const SocketState& state, Restored& restored) override;

 private:
  // `queue`: UDPCR_QUEUE_*.  Returns how many datagrams are in it now; `what` is
  // the Loss's name of the queue.
  std::size_t put(int fd, std::uint32_t queue, const MessageStream& datagrams, const char* what,
                  std::vector<Loss>& losses);

  ModuleClient& client_;
  std::uint32_t receive_;
  std::uint32_t errors_;
};

// What the module's record tells and no engine keeps.
void find_module_losses(const SocketRecord& record, std::vector<Loss>& losses);

}  // namespace udpcr
