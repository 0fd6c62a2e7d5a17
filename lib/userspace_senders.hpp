// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Two ways to make a datagram arrive at a socket of this machine.
#pragma once

#include <chrono>
#include <memory>
#include <udpcr/udpcr.hpp>

#include "packet.hpp"
#include "route.hpp"

struct sock_fprog;

namespace udpcr {

// What of a datagram arrives as it was.
struct Kept {
  bool source = true;
  bool destination = true;
  bool interface = true;
  bool ttl = true;
  bool options = true;  // of the IP header, extension headers
  bool mark = true;
  bool priority = true;
  bool fragment = true;  // size of the largest fragment
};

// By what the socket's filter knows our datagrams: something that the program
// cannot see.
enum class KnownBy : std::uint8_t {
  header,  // IPv4 identification, IPv6 flow label
  itself,  // its sender's port and length: one datagram at a time
};

struct SendTarget {
  int fd = -1;  // the socket itself
  int family = AF_INET;
  int protocol = IPPROTO_UDP;
  std::uint16_t port = 0;          // of any address of this machine
  bool interface_matters = false;  // the program can see the arrival interface
  bool fragment_matters = false;   // and the size of fragments
  KnownBy known_by = KnownBy::header;
};

// Datagrams are collected by add() and go out, in order, with flush(): at most
// kMost of them, and only while there is room.
class Sender {
 public:
  static constexpr unsigned kMost = 128;

  virtual ~Sender() = default;
  // False: flush() must come first.
  [[nodiscard]] virtual bool has_room_for(const Datagram& datagram) const = 0;
  // Whether add() takes a datagram that UDP_GRO had put together as it is.
  virtual bool takes_segments(const Datagram& /*datagram*/) { return false; }
  // `payload`: of this datagram, or one segment of it.
  virtual Kept add(const Datagram& datagram, ByteView payload) = 0;
  // True when the datagram added last goes out in fragments.
  [[nodiscard]] virtual bool fragmented() const noexcept = 0;
  // Returns 0, or the errno of the first that was refused; the others are sent.
  virtual int flush() = 0;
  void aim(const SendTarget& target) noexcept { target_ = target; }
  // False: it holds what must not be held longer than one restore takes.
  [[nodiscard]] virtual bool reusable() const noexcept { return false; }
  // Lets nothing but this sender's datagrams into `fd`; before each flush().
  virtual void admit_only_mine(int fd) const = 0;

 protected:
  explicit Sender(const SendTarget& target) : target_(target) {}
  SendTarget target_;
};

// Any source: raw sockets (CAP_NET_RAW).
std::unique_ptr<Sender> make_raw_sender(const SendTarget& target);
// Sources that can be bound: IPv6 ones by IPV6_FREEBIND, local ones while free.
std::unique_ptr<Sender> make_plain_sender(const SendTarget& target);

// The sender for one restore after the other: a raw one is used again, for a
// second at most (routes change) and in one network namespace.
class Senders {
 public:
  // `fd`: a socket of the network namespace.  Stays good until release().
  Sender& acquire(const SendTarget& target, int fd);
  void release() noexcept;
  // Whether the one acquired can send from any source.
  [[nodiscard]] bool raw() const noexcept { return raw_; }

 private:
  std::unique_ptr<Sender> sender_;
  std::chrono::steady_clock::time_point made_;
  std::uint64_t netns_ = 0;
  bool raw_ = false;
};

// The index of the loopback interface (include/uapi/linux/if.h does not say it,
// net/core/net_namespace.c and include/net/flow.h, LOOPBACK_IFINDEX, do).
constexpr unsigned kLoopback = 1;

Address loopback_address(int family) noexcept;

}  // namespace udpcr
