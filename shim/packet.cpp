// SPDX-License-Identifier: LGPL-2.1-or-later
#include "packet.h"

#include <string.h>

#include "sys.h"

namespace udpcr::packet {

int send(int channel, const iovec* pieces, size_t count, const int* fds, size_t fd_count) {
  // One sender of fds at a time in the handler, and elsewhere a few: the large buffer is
  // the handler's.
  constexpr size_t kFew = 4;
  alignas(cmsghdr) unsigned char small[CMSG_SPACE(sizeof(int) * kFew)] = {};
  alignas(
      cmsghdr) static constinit unsigned char large[CMSG_SPACE(sizeof(int) * wire::kMaxFds)] = {};
  if (count == 0 || count > kMostPieces || pieces[0].iov_len < sizeof(wire::WireHeader)) {
    return EINVAL;
  }
  wire::WireHeader header;
  memcpy(&header, pieces[0].iov_base, sizeof header);
  iovec framed[kMostPieces + 1] = {};
  framed[0] = {&header, sizeof header};
  framed[1] = {static_cast<unsigned char*>(pieces[0].iov_base) + sizeof header,
               pieces[0].iov_len - sizeof header};
  size_t length = pieces[0].iov_len;
  for (size_t i = 1; i < count; ++i) {
    framed[i + 1] = pieces[i];
    length += pieces[i].iov_len;
  }
  header.length = static_cast<uint32_t>(length);
  msghdr message = {};
  message.msg_iov = framed;
  message.msg_iovlen = count + 1;
  if (fd_count > 0) {
    message.msg_control = fd_count <= kFew ? small : large;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    auto* const rights = static_cast<cmsghdr*>(message.msg_control);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    memcpy(CMSG_DATA(rights), fds, sizeof(int) * fd_count);
  }
  return sys::sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ? 0 : errno;
}

ssize_t receive(int channel, void* packet, size_t size, int* fds, size_t fd_room,
                Arrived& arrived) {
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int) * wire::kMaxFds)];
  arrived = {0, false};
  iovec piece{packet, size};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t received = sys::recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (received < 0) return -1;
  if (received == 0) {
    errno = EPIPE;
    return -1;
  }
  arrived.fds_lost = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int one = -1;
      memcpy(&one, CMSG_DATA(part) + i * sizeof one, sizeof one);
      if (arrived.fd_count < fd_room) {
        fds[arrived.fd_count++] = one;
      } else {
        sys::close(one);
      }
    }
  }
  wire::WireHeader header;
  if (static_cast<size_t>(received) >= sizeof header) memcpy(&header, packet, sizeof header);
  if ((message.msg_flags & MSG_TRUNC) != 0 ||
      wire::soundness_of(header, static_cast<uint64_t>(received)) != wire::Soundness::sound) {
    for (size_t i = 0; i < arrived.fd_count; ++i) sys::close(fds[i]);
    arrived.fd_count = 0;
    errno = EPROTO;
    return -1;
  }
  return received;
}

}  // namespace udpcr::packet
