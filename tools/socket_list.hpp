// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The bound UDP and UDP-Lite sockets of this network namespace.
#pragma once

#include <optional>
#include <udpcr/udpcr.hpp>

namespace udpcr {

struct ListedSocket {
  std::uint64_t inode = 0;
  std::uint16_t family = AF_UNSPEC;
  std::uint16_t protocol = IPPROTO_UDP;
  Address local;
  std::optional<Address> peer;
  std::string device;
  std::optional<std::uint32_t> datagrams;  // queued; empty: not known
  std::uint32_t memory = 0;                // bytes charged for them
  std::uint32_t drops = 0;
  std::uint32_t uid = 0;
};

struct SocketList {
  std::vector<ListedSocket> sockets;  // by port, then by inode
  bool by_module = false;
  std::string why_not;  // the module did not list them
};

// By the module where it answers, else from /proc/net.  Throws Error when
// neither tells.
SocketList list_sockets();

// /proc/net/udp and its likes; `text` is one of them.
std::vector<ListedSocket> parse_proc_net(const std::string& text, std::uint16_t family,
                                         std::uint16_t protocol);

}  // namespace udpcr
