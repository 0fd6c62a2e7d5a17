// SPDX-License-Identifier: LGPL-2.1-or-later
#include "channel.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "operations.hpp"

namespace udpcr::keeper::monitor {

bool send_parts(int channel, ByteView head, ByteView rest, std::span<const int> fds) {
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int) * kMostFds)] = {};
  if (fds.size() > kMostFds) return false;
  iovec parts[] = {{const_cast<std::uint8_t*>(head.data()), head.size()},
                   {const_cast<std::uint8_t*>(rest.data()), rest.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

bool receive_parts(int channel, std::span<std::uint8_t> buffer, std::size_t& size,
                   std::vector<UniqueFd>& fds) {
  fds.clear();
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int) * kMostFds)];
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got <= 0) return false;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  const bool cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  if (cut) fds.clear();
  size = cut ? 0 : static_cast<std::size_t>(got);
  return true;
}

}  // namespace udpcr::keeper::monitor
