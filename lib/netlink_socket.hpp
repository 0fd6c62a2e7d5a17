// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A generic netlink socket: requests go out, what answers them comes back.
#pragma once

#include <functional>
#include <udpcr/udpcr.hpp>

namespace udpcr {

// How the kernel ended a request.
struct Ack {
  int error_number = 0;
  std::string sentence;      // the extended ACK's; may be empty
  bool interrupted = false;  // a dump during which something changed (NLM_F_DUMP_INTR)
};

// `message`: from genlmsghdr on, without what pads its last attribute.
using TakeReply = std::function<void(ByteView message)>;

// Lives in the network namespace, and with the rights, in which it was made.
class NetlinkSocket {
 public:
  // Throws Error.
  NetlinkSocket();

  // `flags`: NLM_F_*, REQUEST and ACK are added.
  Ack request(std::uint16_t family, std::uint16_t flags, ByteView message, const TakeReply& take);

  // Several requests that go out together with flush().  Each one's end is
  // told to `ended` with its number, counted from 0 since begin().
  using Ended = std::function<void(std::size_t number, const Ack&)>;
  void begin(Ended ended);
  // `message`: two parts, the second of which begins at a multiple of 4.
  void add(std::uint16_t family, ByteView message, ByteView more);
  void flush();

 private:
  // `by_others`: through rights().  False: it was not sent, and `ack` stays.
  bool exchange(std::uint16_t family, std::uint16_t flags, ByteView message, const TakeReply& take,
                bool by_others, Ack& ack);
  void append(std::uint16_t family, std::uint16_t flags, ByteView message, ByteView more);
  void send();
  struct Header;
  // Calls `handle` for each message that has come; returns when it wants no more.
  void receive(const std::function<bool(const Header&, ByteView)>& handle);

  UniqueFd fd_;
  std::uint32_t sequence_ = 0;
  Bytes outgoing_;
  std::size_t last_ = 0;     // where the last message in `outgoing_` begins
  std::uint32_t first_ = 0;  // sequence number of the first one in `outgoing_`
  std::size_t flushed_ = 0;  // requests ended since begin()
  Ended ended_;
  std::unique_ptr<std::uint8_t[]> incoming_;
};

}  // namespace udpcr
