// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where a parked socket is kept open: in the kernel module, which outlives
// every process, or at an fd of this one and, if there is a service manager that
// does so, by that.
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <memory>
#include <optional>
#include <udpcr/udpcr.hpp>

#include "fd_store.hpp"
#include "key.hpp"
#include "module_client.hpp"
#include "settings.h"

namespace udpcr::keeper {

// One parked socket.
struct Park {
  ParkKey key;
  std::uint64_t inode = 0;
  std::uint64_t cookie = 0;
  Address local;
  std::uint16_t protocol = IPPROTO_UDP;
  bool reuseport = false;
  std::uint32_t receive_buffer = 0;  // bytes
  UniqueFd fd;                       // empty: the module has it
  bool stored = false;               // the service manager has it too
  [[nodiscard]] bool in_module() const { return !fd; }
};

class ParkStore {
 public:
  explicit ParkStore(EngineChoice engine);

  // Keeps `socket`; `fallen_back` says why not the module, if it is there.
  // Throws Error when it cannot be kept.
  Park park(const ParkKey& key, UniqueFd socket, std::string& fallen_back);
  void release(const Park& park);

  // The service manager has kept it since the last start.
  void know_stored(const ParkKey& key, int socket);
  // Whether the service manager has what it was given; false is for good.
  bool manager_keeps_all();
  // Milliseconds until that should be asked; -1: it need not.
  [[nodiscard]] int unasked() const;

 private:
  void give_to_manager(Park& park, std::string& why_not);

  std::unique_ptr<ModuleClient> module_;  // null: not used
  std::optional<FdStore> manager_;
  bool manager_sought_ = false;
  std::optional<std::chrono::steady_clock::time_point> unasked_since_;
};

// Number and bytes of what one keeper may hold at fds of its own.
constexpr std::size_t kMostParked = 8192;
constexpr std::uint64_t kMostParkedBytes = std::uint64_t{512} << 20;

// SO_MEMINFO's bytes of the receive queue; 0 when they cannot be read.
std::uint32_t queue_bytes_of(int fd) noexcept;

}  // namespace udpcr::keeper
