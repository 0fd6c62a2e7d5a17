// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One message of shim/wire.h, with the file descriptors that came along.
#pragma once

#include <span>
#include <udpcr/udpcr.hpp>
#include <vector>

#include "proof.hpp"
#include "wire.h"

namespace udpcr::keeper {

struct Packet {
  Bytes data;
  std::vector<UniqueFd> fds;
  Sender sender;  // where tell_senders() is on

  [[nodiscard]] wire::Type type() const;

  // The message at the front of the packet, by value.  Throws Error when the
  // packet is shorter.
  template <typename Message>
  [[nodiscard]] Message as() const {
    Message message;
    copy_front(&message, sizeof message);
    return message;
  }

 private:
  void copy_front(void* target, std::size_t size) const;
};

enum class Received { packet, nothing, end };

// Does not block.  Throws Error on a packet that is cut short, carries another
// version, or whose fds did not fit under RLIMIT_NOFILE.
Received receive_packet(int channel, Packet& packet);

// One packet of at most `size` bytes; what comes with it that does not fit under
// RLIMIT_NOFILE is lost.  As recvmsg(2) with MSG_DONTWAIT.
ssize_t receive_with_fds(int channel, void* data, std::size_t size, std::vector<UniqueFd>& fds);

// Sends one packet; waits at most `patience_ms` for room.  False when the other
// end is gone or does not read.
bool send_packet(int channel, const void* data, std::size_t size, std::span<const int> fds,
                 int patience_ms = 5000);

}  // namespace udpcr::keeper
