// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a program sees of a datagram when it asks for everything.
#pragma once

#include <map>
#include <string>
#include <udpcr/udpcr.hpp>

namespace udpcr::test {

struct Received {
  Address source;
  std::string payload;
  int flags = 0;  // msg_flags
  // {"IP_TTL": bytes, ...}, names as in the manual pages, by level and type.
  std::map<std::string, Bytes> ancillary;

  bool operator==(const Received&) const = default;
  // An int of the ancillary data; throws when it is absent.
  [[nodiscard]] int number(const std::string& name) const;
};

// One line, for messages.
std::string to_string(const Received& received);

// Turns on every option by which recvmsg tells more.
void ask_for_all(int fd);

// False when nothing is there; `flags` as in recvmsg, MSG_DONTWAIT is added.
bool receive(int fd, Received& received, int flags = 0);
std::vector<Received> receive_all(int fd, int flags = 0);
std::vector<std::string> texts(const std::vector<Received>& received);

// Sends from `fd` to `where` with these; negative: not given.
struct Sending {
  int ttl = -1;
  int tos = -1;
  int segment = 0;  // UDP_SEGMENT
  int flags = 0;
};
void send_with(int fd, const Address& where, const std::string& payload, const Sending& how);

std::size_t next_length(int fd);  // FIONREAD
std::uint32_t charged(int fd);    // SO_MEMINFO, receive bytes
std::uint32_t dropped(int fd);    // SO_MEMINFO, drops
std::uint32_t udp_pages();        // /proc/net/sockstat, "UDP: ... mem"
// Waits until the module counts `count` datagrams in the queue; throws after 5 s.
void await_count(int fd, std::uint32_t count);

}  // namespace udpcr::test
