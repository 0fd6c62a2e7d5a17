// SPDX-License-Identifier: LGPL-2.1-or-later
//
// libudpcr: capture and restore of one UDP socket at a time.
//
// The library never prints, never exits and knows nothing of preloading.
// Functions report failure by throwing udpcr::Error; what could not be kept is
// no failure, it is returned as a list of Loss.  Not thread-safe unless said.
#pragma once

#include <netinet/in.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace udpcr {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

// One sentence that names the thing, the value and the remedy.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& sentence, int error_number = 0)
      : std::runtime_error(sentence), error_number_(error_number) {}
  // errno of the failed call, 0 when no call failed.
  [[nodiscard]] int error_number() const noexcept { return error_number_; }

 private:
  int error_number_;
};

// An owned file descriptor.
class UniqueFd {
 public:
  UniqueFd() noexcept = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

// An IPv4 or IPv6 address with port.  The port is in host order.
struct Address {
  std::uint16_t family = AF_UNSPEC;  // AF_INET or AF_INET6
  std::uint16_t port = 0;
  std::uint32_t scope = 0;      // sin6_scope_id
  std::uint8_t bytes[16] = {};  // network order; AF_INET uses the first 4

  bool operator==(const Address&) const = default;
  [[nodiscard]] bool is_wildcard() const noexcept;
  [[nodiscard]] bool is_multicast() const noexcept;
  // Length of the returned sockaddr in `length`.
  [[nodiscard]] sockaddr_storage to_sockaddr(socklen_t& length) const noexcept;
  // AF_UNSPEC when `address` is neither IPv4 nor IPv6.
  static Address from_sockaddr(const sockaddr_storage& address) noexcept;
};

// "192.0.2.1:53", "[2001:db8::1%2]:53"
std::string to_string(const Address& address);

// Something that was on the socket and is not kept, for the log, the exit
// status and the image.
struct Loss {
  std::string what;    // the field's term: "membership", "cork", "source address"
  std::string why;     // one clause, with the value
  std::string remedy;  // what the user can do; may be empty
  bool operator==(const Loss&) const = default;
};

struct SocketOption {
  std::int32_t level = 0;
  std::int32_t name = 0;
  Bytes value;
  bool operator==(const SocketOption&) const = default;
};

// A multicast membership, as UDPCR_A_MEMBERSHIP.
struct Membership {
  Address group;  // port and scope are 0
  std::uint32_t ifindex = 0;
  std::string device;      // empty: the interface is gone
  std::uint32_t mode = 0;  // MCAST_INCLUDE or MCAST_EXCLUDE
  std::vector<Address> sources;
  bool anycast = false;
  bool operator==(const Membership&) const = default;
};

// A network interface, as UDPCR_A_INTERFACE.
struct Interface {
  std::uint32_t index = 0;
  std::string name;
  bool operator==(const Interface&) const = default;
};

// Who is sent SIGIO: F_GETOWN_EX and F_GETSIG.
struct FileOwner {
  std::uint32_t type = 0;    // F_OWNER_TID, F_OWNER_PID or F_OWNER_PGRP
  std::uint32_t pid = 0;     // 0: nobody
  std::uint32_t signal = 0;  // 0: SIGIO
  bool operator==(const FileOwner&) const = default;
};

// Everything about a socket but its queues.  Mirrors UDPCR_CMD_SOCKET
// (udpcr_netlink.h), where units are given.
struct SocketRecord {
  std::uint64_t inode = 0;
  std::uint64_t cookie = 0;
  std::uint16_t family = AF_UNSPEC;
  std::uint16_t protocol = IPPROTO_UDP;
  std::uint32_t flags = 0;  // UDPCR_SOCK_*
  Address local;            // port 0: not bound
  std::optional<Address> peer;
  std::string device;
  std::uint32_t uid = 0;
  std::uint32_t file_flags = 0;
  std::uint32_t drops = 0;
  std::uint32_t rmem = 0;
  std::uint32_t queue_count = 0;
  std::vector<SocketOption> options;    // only those that differ from a fresh socket's
  std::uint8_t shutdown = 0;            // 1: receiving, 2: sending, 3: both
  std::uint32_t error = 0;              // pending SO_ERROR
  std::uint32_t error_count = 0;        // messages in the error queue
  std::uint32_t cork_length = 0;        // payload bytes
  std::uint32_t held_count = 0;         // datagrams held aside
  std::vector<Membership> memberships;  // in the order in which they were joined
  std::uint32_t tskey = 0;              // number of the next datagram sent
  std::uint64_t cgroup = 0;             // id; 0: not known
  std::optional<std::uint32_t> reuseport_index;
  std::string netns;  // name under /run/netns; empty: the process's own
  std::vector<Interface> interfaces;
  FileOwner owner;
  std::string label;  // of the security module
  bool operator==(const SocketRecord&) const = default;
};

// What came with a message of the error queue (linux/errqueue.h).
struct ErrorReport {
  std::uint32_t error_number = 0;
  std::uint8_t origin = 0;
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t info = 0;
  std::uint32_t data = 0;
  std::optional<Address> offender;  // port and scope are 0
  bool operator==(const ErrorReport&) const = default;
};

// One queued datagram.  Absent: not known.
struct Datagram {
  std::optional<Address> source;
  std::optional<Address> destination;
  std::optional<std::uint32_t> ifindex;
  std::optional<std::uint64_t> timestamp;  // ns, CLOCK_REALTIME
  std::optional<std::uint8_t> tos;
  std::optional<std::uint8_t> ttl;
  std::optional<std::uint32_t> mark;
  std::optional<std::uint16_t> gso_size;
  std::optional<Address> specific_destination;  // ipi_spec_dst; port and scope are 0
  std::optional<ErrorReport> error;
  Bytes ip_options;                         // IPv4: options of the header; IPv6: extension headers
  std::optional<std::uint8_t> next_header;  // number of the first extension header
  std::optional<std::uint32_t> flow_label;  // IPv6
  bool peeked = false;                      // SO_PEEK_OFF has seen it
  std::optional<std::uint32_t> priority;
  std::optional<std::uint16_t> frag_size;  // of the largest fragment it came in
  Bytes payload;
  bool operator==(const Datagram&) const = default;
};

// A record or datagram as a generic netlink message from genlmsghdr on.
Bytes encode_record(const SocketRecord& record);
Bytes encode_datagram(const Datagram& datagram);
// `unknown` receives the numbers of attributes that were skipped.
SocketRecord decode_record(ByteView message, std::vector<std::uint16_t>& unknown);
Datagram decode_datagram(ByteView message, std::vector<std::uint16_t>& unknown);

// A queue: generic netlink messages, each behind its length (u32, native order).
class MessageStream {
 public:
  MessageStream() = default;
  // Checks every length; throws Error on a stream that does not end with a
  // whole message.
  static MessageStream from_bytes(Bytes bytes);

  void append(ByteView message);
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] const Bytes& bytes() const noexcept { return bytes_; }

  // The message that starts at `offset`; advances `offset` behind it.
  // Empty view at the end.
  [[nodiscard]] ByteView next(std::size_t& offset) const noexcept;

 private:
  Bytes bytes_;
  std::size_t count_ = 0;
};

// A captured socket.
struct SocketState {
  SocketRecord record;
  MessageStream receive_queue;
  MessageStream send_queue;
  MessageStream error_queue;
  std::vector<Loss> losses;
};

enum class Queues : std::uint8_t { both, receive, send, none };

enum class QueueEnd : std::uint8_t { refuses, stays_open };

struct CaptureOptions {
  Queues queues = Queues::both;
  // What the capturer knows of bind(2) calls that the socket cannot tell:
  // UDPCR_SOCK_BOUND* with UDPCR_SOCK_ORIGIN_KNOWN, or 0.
  std::uint32_t origin_flags = 0;
  // The socket itself is kept as well (parked): what is captured is a copy, for
  // which the program does not stand still for long.
  bool is_kept = false;
};

struct RestoreOptions {
  bool restore_options = true;  // false: addresses and queues only
  bool restore_queues = true;
  // Where the new socket comes from: none, with errno, on failure.  Empty: it is
  // the caller's (socket(2)).
  std::function<UniqueFd(int family, int protocol)> open_socket = {};
};

struct Restored {
  UniqueFd fd;
  std::size_t datagrams = 0;  // put back into the receive queue
  std::vector<Loss> losses;
};

// Captures and restores one socket at a time.  The caller sees to it that
// nobody reads from the socket during capture() and take_rest().
class Engine {
 public:
  virtual ~Engine() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  // Consumes nothing; options changed for reading are put back before return.
  virtual SocketState capture(int fd, const CaptureOptions& options) = 0;

  // Takes the queue out and returns what stands behind the first `already`
  // datagrams.  With QueueEnd::refuses, for a socket whose program has ended,
  // the socket accepts nothing more from here on.
  virtual MessageStream take_rest(int fd, std::size_t already, QueueEnd end) = 0;

  // Whether what take_rest() has taken so far is stored now.  If not, an engine
  // that can puts the queues back in front; so it does when it is destroyed
  // before it was told.
  virtual void settle_rest(bool /*stored*/) {}

  // A new socket in the caller's network namespace.
  virtual Restored restore(const SocketState& state, const RestoreOptions& options) = 0;

  // What this engine cannot keep on this machine for this user, with remedies.
  [[nodiscard]] virtual std::vector<Loss> limits() const = 0;
};

std::unique_ptr<Engine> make_userspace_engine();

enum class UseEngine : std::uint8_t { automatic, module, userspace };

// `automatic`: the module's when it is loaded, which leaves single sockets that
// the module refuses to the userspace engine.  `module`: throws Error when the
// module is not there.  The engine belongs to the network namespace and to the
// process in which it is made.
std::unique_ptr<Engine> make_engine(UseEngine choice);

// The options that capture() changes while it reads, so that a guardian can
// put them back when the capturing process dies: reads them now, writes them
// back with restore().
class ReadingState {
 public:
  // Throws Error when they cannot be read.
  explicit ReadingState(int fd);
  // 0, or the errno of an option that could not be written back.
  int restore() const noexcept;
  // Whether the socket has the option.
  [[nodiscard]] bool has(int level, int name) const noexcept;

 private:
  int fd_;
  std::vector<SocketOption> saved_;
};

// True when `fd` is a UDP or UDP-Lite socket over IPv4 or IPv6; false when it
// is something else.  Throws Error when the kernel does not tell.
bool is_udp_socket(int fd);

}  // namespace udpcr
