// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Room in a receive buffer while a queue is put back.
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// Makes the receive buffer of `fd` large enough for the queue of `state`, as
// far as this user may, and gives it back its size in the end.
class ReceiveRoom {
 public:
  ReceiveRoom(int fd, const SocketState& state);
  ~ReceiveRoom();
  ReceiveRoom(const ReceiveRoom&) = delete;
  ReceiveRoom& operator=(const ReceiveRoom&) = delete;

 private:
  int fd_;
  std::optional<Bytes> size_;  // empty: not changed
  std::optional<int> lock_;    // SO_BUF_LOCK
};

}  // namespace udpcr
