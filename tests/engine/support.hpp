// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the engine's tests share.  The network that main() builds:
//
//      lo: 127.0.0.1, ::1, 192.0.2.7, 2001:db8::7
//      left (10.9.0.1/24, fd00:9::1/64) ---- veth ---- right (no address)
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr::test {

// TEST_ENGINE: userspace (the default) or module.
std::unique_ptr<Engine> engine_under_test();
bool with_module();

Address address(const std::string& ip, std::uint16_t port = 0);
Bytes bytes(const std::string& text);
std::string text(const Bytes& bytes);

// A UDP socket bound to `where`; -1 as family of an Address: not bound.
UniqueFd socket_at(const Address& where, int flags = 0);
UniqueFd unbound(int family, int protocol = IPPROTO_UDP);
void bind_to(int fd, const Address& where);
void connect_to(int fd, const Address& where);
Address local_of(int fd);

// Returns when it has arrived.
void send_to(int fd, const Address& where, const std::string& payload);
void set(int fd, int level, int name, int value);
int get(int fd, int level, int name);

// One datagram as a program sees it that asks for everything.
struct Seen {
  Address source;
  std::string payload;
  std::string destination;  // without port
  unsigned ifindex = 0;
  int tos = -1;
  int ttl = -1;
};
void ask_for_everything(int fd);
// Reads until nothing is left; waits for nothing.
std::vector<Seen> read_all(int fd);
// Waits for `count` of them, 2 s at most: a busy machine delivers later.
std::vector<Seen> read_some(int fd, std::size_t count);
std::vector<std::string> payloads(const std::vector<Seen>& seen);

// A state made by hand: a socket at `where` with these datagrams.
Datagram datagram(const Address& source, const Address& destination, const std::string& payload);
SocketState state_of(const Address& where, const std::vector<Datagram>& queue);

std::vector<Datagram> decode_all(const MessageStream& stream);
bool names(const std::vector<Loss>& losses, const std::string& what);
// All of them, for messages.
std::string list(const std::vector<Loss>& losses);

// Waits until more than so many bytes of memory are charged to the queue, 2 s at most.
void wait_for_queue(int fd, std::uint32_t more_than = 0);

// A socket that wants time stamps; while it is open, every datagram gets one
// when it arrives.  The kernel begins with that some time after the option was
// set (net/core/dev.c, netstamp_work, Linux 6.1).
UniqueFd timestamps();

// Runs `body` in a child with the user nobody; it returns the exit status: 0 is success.
int as_nobody(int (*body)());

// The port of a fresh socket, now free again.
std::uint16_t free_port();

}  // namespace udpcr::test
