// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One message of common/protocol, with the file descriptors that came along: the one
// place of keepers and tools that sends and receives.
#pragma once

#include <sys/types.h>

#include <span>
#include <udpcr/udpcr.hpp>
#include <vector>

#include "wire.h"

namespace udpcr::keeper {

// The sender of one message, as the kernel tells.  A container's root can state
// the numbers falsely, of his own namespaces only.
struct Sender {
  pid_t pid = 0;  // 0: not told, or not to be seen from here
  uid_t uid = uid_t(-1);
  gid_t gid = gid_t(-1);
  UniqueFd pidfd;  // the kernel's, for this very process; empty before Linux 6.5
};

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

// Throws Error, EPROTONOSUPPORT for another version, unless the packet begins with a
// header that is right.
void check_packet(ByteView data);

// Does not block.  Throws Error on a packet that is cut short, is not one of this
// version (check_packet), or whose fds did not fit under RLIMIT_NOFILE.
Received receive_packet(int channel, Packet& packet);
// Waits for it, -1: without limit.  `nothing`: none has come.
Received await_packet(int channel, Packet& packet, int patience_ms);

// Sends one message of `size` bytes that begins with a wire::WireHeader, whose length
// is filled in; waits at most `patience_ms` for room.  False, with errno, when the
// other end is gone or does not read.
bool send_packet(int channel, const void* data, std::size_t size, std::span<const int> fds,
                 int patience_ms = 5000);

}  // namespace udpcr::keeper
