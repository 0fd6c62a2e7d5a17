// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sockets and datagrams as the rows need them.  The harness's network:
//
//   lo: 127.0.0.1, ::1, 192.0.2.7, 2001:db8::7
//   left (10.9.0.1/24, fd00:9::1/64, fe80::1/64) ---- right, in another namespace
//
// Nobody lives at the right end, but it is asked for 10.9.0.2, fd00:9::2 and
// fe80::2; the program holds a packet socket there (wire.hpp).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fidelity {

struct Kind {
  const char* suffix;
  int family;
  const char* any;
  const char* loopback;
  const char* second;  // another address on lo
  const char* left;
  const char* right;
  const char* group;
  const char* source;  // of multicast; and the next one up
  const char* source2;
};
constexpr Kind kV4{"v4",       AF_INET,    "0.0.0.0",   "127.0.0.1", "192.0.2.7",
                   "10.9.0.1", "10.9.0.2", "239.9.9.9", "10.9.0.3",  "10.9.0.4"};
constexpr Kind kV6{"v6",        AF_INET6,    "::",        "::1",       "2001:db8::7",
                   "fd00:9::1", "fd00:9::2", "ff15::9:9", "fd00:9::3", "fd00:9::4"};

struct Endpoint {
  sockaddr_storage name{};
  socklen_t size = sizeof(sockaddr_storage);
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&name); }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&name); }
  [[nodiscard]] std::uint16_t port() const;
};
// "10.9.0.1", "fe80::1%left"
Endpoint at(const std::string& address, unsigned port);
std::string text(const Endpoint& endpoint);
// Without the port.
std::string host(const Endpoint& endpoint);
std::string interface_name(unsigned index);
// Throws when there is none.
unsigned interface_index(const char* name);

void bind_to(int fd, const Endpoint& where);
void connect_to(int fd, const Endpoint& where);
void disconnect(int fd);
Endpoint local_of(int fd);
Endpoint peer_of(int fd);  // family AF_UNSPEC when there is none

void set(int fd, int level, int name, const void* value, socklen_t size, const char* text);
template <typename Value>
void set(int fd, int level, int name, const Value& value, const char* text) {
  set(fd, level, name, &value, sizeof value, text);
}
// "01000000", or the error in words.
std::string get_hex(int fd, int level, int name);
int get_number(int fd, int level, int name);  // -1: it cannot be read

std::string hex(const void* bytes, std::size_t size);
// Length and a checksum, for what is too long to print.
std::string digest(const std::string& payload);
std::string bytes_of(std::size_t length, char seed);

// From a fresh socket of `from`'s address and port, on loopback; returns when
// the receiver `fd` has it.
void send_from(const Endpoint& from, const Endpoint& to, const std::string& payload, int fd);
// Memory that the queue takes (SO_MEMINFO).
unsigned queue_memory(int fd);
// Waits until it is more than it was.
void await_more(int fd, unsigned before);

// Returns when everything that this process has sent, by the loopback interface
// or by the link, has arrived: it stays on one processor (main.cpp), whose
// backlog keeps the order (net/core/dev.c, enqueue_to_backlog).
void settle();

struct Got {
  std::string payload;
  Endpoint source;
  Endpoint destination;  // IP_RECVORIGDSTADDR
  int flags = 0;
  std::map<std::string, std::string> ancillary;  // "IP_TTL" -> "64"
};
// Everything that a cmsg can tell is asked for.
void ask_for_everything(int fd, int family);
std::optional<Got> receive(int fd, int flags = 0, int wait_ms = 0);
std::vector<Got> receive_all(int fd);

}  // namespace fidelity
