// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the routing tables of this network namespace make of an address.
#pragma once

#include <udpcr/udpcr.hpp>
#include <vector>

namespace udpcr {

enum class Reach : std::uint8_t {
  local,      // an address of this machine
  multicast,  //
  broadcast,  //
  elsewhere,  // another machine's, or nobody's
};

// Asks the kernel (RTM_GETROUTE); remembers the answers, so it should live no
// longer than one restore.
class Routes {
 public:
  Reach reach(const Address& address);

 private:
  [[nodiscard]] Reach ask(const Address& address);

  UniqueFd netlink_;
  std::vector<std::pair<Address, Reach>> known_;
};

// 0 when there is no such interface.
unsigned interface_index(const std::string& name) noexcept;
bool interface_is_up(unsigned index) noexcept;
bool interface_is_loopback(unsigned index) noexcept;
// 0 when there is no such interface.
unsigned interface_mtu(unsigned index) noexcept;
// All addresses, without scope, with the index of the interface that has them.
std::vector<std::pair<Address, unsigned>> interface_addresses();

}  // namespace udpcr
