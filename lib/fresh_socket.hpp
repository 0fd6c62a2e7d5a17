// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a new socket has in each option: only what differs is kept.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <udpcr/udpcr.hpp>

#include "options.hpp"

namespace udpcr {

// The options of a socket, by the table; empty where the kernel has none.
using OptionValues = std::vector<std::pair<const OptionRow*, std::optional<Bytes>>>;
using ReadOptions = std::function<OptionValues(int fd, int family, int protocol)>;

OptionValues read_by_getsockopt(int fd, int family, int protocol);

// A new socket of one kind.
struct FreshSocket {
  int family = 0;
  int protocol = 0;
  std::chrono::steady_clock::time_point read_at;
  std::uint64_t netns = 0;  // SO_NETNS_COOKIE; 0: the kernel does not tell
  OptionValues values;
};

// Remembered for a second: administrators change defaults (sysctl).
class FreshSockets {
 public:
  explicit FreshSockets(ReadOptions read) : read_(std::move(read)) {}
  const FreshSocket& like(int family, int protocol);
  // Of any socket, in the order of FreshSocket::values.
  OptionValues read(int fd, int family, int protocol) { return read_(fd, family, protocol); }

 private:
  ReadOptions read_;
  std::list<FreshSocket> known_;
};

// SO_COOKIE, SO_NETNS_COOKIE; the latter is 0 when the kernel has none.  Throws
// Error when it cannot be read.
std::uint64_t read_cookie(int fd, int name);

// The options of `now` that are not as in `fresh`.  Throws Error for one that
// could not be read and that `fresh` has.
std::vector<SocketOption> changed_options(OptionValues now, const FreshSocket& fresh,
                                          bool connected);

}  // namespace udpcr
