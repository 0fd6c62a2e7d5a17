// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_list.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <tuple>

#include "module_client.hpp"
#include "text_file.hpp"

namespace udpcr {
namespace {

// 8 or 32 hexadecimal digits, each 8 a word of the machine's own integers.
bool parse_address(const char* digits, unsigned port, std::uint16_t family, Address& address) {
  address.family = family;
  address.port = static_cast<std::uint16_t>(port);
  const std::size_t words = family == AF_INET ? 1 : 4;
  if (std::strlen(digits) != 8 * words) return false;
  for (std::size_t i = 0; i < words; ++i) {
    unsigned word = 0;
    if (std::sscanf(digits + 8 * i, "%8x", &word) != 1) return false;
    std::memcpy(address.bytes + sizeof word * i, &word, sizeof word);
  }
  return true;
}

std::vector<ListedSocket> ask_module(ModuleClient& client) {
  std::vector<ListedSocket> sockets;
  std::vector<std::uint16_t> unknown;
  for (const Bytes& message : client.records()) {
    SocketRecord record = decode_record(message, unknown);
    sockets.push_back({record.inode, record.family, record.protocol, record.local, record.peer,
                       std::move(record.device), record.queue_count, record.rmem, record.drops,
                       record.uid});
  }
  return sockets;
}

std::vector<ListedSocket> read_proc_net() {
  struct Table {
    const char* path;
    std::uint16_t family;
    std::uint16_t protocol;
  };
  constexpr Table kTables[] = {{"/proc/net/udp", AF_INET, IPPROTO_UDP},
                               {"/proc/net/udp6", AF_INET6, IPPROTO_UDP},
                               {"/proc/net/udplite", AF_INET, IPPROTO_UDPLITE},
                               {"/proc/net/udplite6", AF_INET6, IPPROTO_UDPLITE}};
  std::vector<ListedSocket> sockets;
  bool any = false;
  for (const Table& table : kTables) {
    const std::string text = read_text(table.path);
    if (text.empty()) continue;  // the kernel has no such protocol
    any = true;
    for (ListedSocket& socket : parse_proc_net(text, table.family, table.protocol)) {
      sockets.push_back(std::move(socket));
    }
  }
  if (!any) throw Error("cannot read /proc/net/udp: /proc is not mounted here; mount it");
  return sockets;
}

}  // namespace

// "  12: 0100007F:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000
//   1000        0 23456 2 0000000000000000 0" (net/ipv4/udp.c, udp4_format_sock)
std::vector<ListedSocket> parse_proc_net(const std::string& text, std::uint16_t family,
                                         std::uint16_t protocol) {
  std::vector<ListedSocket> sockets;
  std::string line;
  std::istringstream lines(text);
  std::getline(lines, line);  // the heads of the columns
  while (std::getline(lines, line)) {
    char local[33] = "";
    char peer[33] = "";
    unsigned local_port = 0;
    unsigned peer_port = 0;
    unsigned state = 0;
    unsigned long long inode = 0;
    ListedSocket socket;
    if (std::sscanf(line.c_str(),
                    " %*d: %32[0-9A-F]:%x %32[0-9A-F]:%x %x %*x:%x %*x:%*x %*x %u %*d %llu %*d %*s "
                    "%u",
                    local, &local_port, peer, &peer_port, &state, &socket.memory, &socket.uid,
                    &inode, &socket.drops) != 9) {
      continue;
    }
    socket.inode = inode;
    socket.family = family;
    socket.protocol = protocol;
    Address other;
    if (!parse_address(local, local_port, family, socket.local) ||
        !parse_address(peer, peer_port, family, other)) {
      continue;
    }
    constexpr unsigned kConnected = 1;  // include/net/tcp_states.h, TCP_ESTABLISHED
    if (state == kConnected) socket.peer = other;
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

SocketList list_sockets() {
  SocketList list;
  ModuleClient client;
  try {
    list.sockets = ask_module(client);
    list.by_module = true;
  } catch (const Error& error) {
    list.why_not = error.what();
    list.sockets = read_proc_net();
  }
  std::sort(list.sockets.begin(), list.sockets.end(),
            [](const ListedSocket& one, const ListedSocket& other) {
              return std::tie(one.local.port, one.inode) < std::tie(other.local.port, other.inode);
            });
  return list;
}

}  // namespace udpcr
