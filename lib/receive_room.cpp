// SPDX-License-Identifier: LGPL-2.1-or-later
#include "receive_room.hpp"

#include <sys/socket.h>

#include <algorithm>

#include "kernel_numbers.hpp"
#include "options.hpp"

namespace udpcr {

ReceiveRoom::ReceiveRoom(int fd, const SocketState& state) : fd_(fd) {
  // Each datagram's bytes twice and the kernel's own structures.
  const std::uint64_t need = 2 * state.receive_queue.bytes().size() +
                             8192 * std::uint64_t{state.receive_queue.count()} + state.record.rmem;
  const int now = read_number(fd, SOL_SOCKET, SO_RCVBUF).value_or(0);
  if (need <= static_cast<std::uint64_t>(now)) return;
  size_ = read_option(fd, SOL_SOCKET, SO_RCVBUF);
  lock_ = read_number(fd, SOL_SOCKET, kSoBufLock);
  const int half = static_cast<int>(std::min<std::uint64_t>(need, 1U << 30U) / 2 + 65536);
  if (write_number(fd, SOL_SOCKET, SO_RCVBUFFORCE, half) != 0) {
    write_number(fd, SOL_SOCKET, SO_RCVBUF, std::max(half, now / 2));
  }
}

ReceiveRoom::~ReceiveRoom() {
  if (!size_) return;
  put_back(fd_, *find_option(SOL_SOCKET, SO_RCVBUF), *size_);
  if (lock_) write_number(fd_, SOL_SOCKET, kSoBufLock, *lock_);
}

}  // namespace udpcr
