// SPDX-License-Identifier: LGPL-2.1-or-later
#include "start_message.h"

#include <string.h>

#include "wire.h"

namespace udpcr {

int make_page() {
  Fd page(
      static_cast<int>(syscall(SYS_memfd_create, "udpcr-page", MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  const uint32_t version = wire::kVersion;
  static_assert(offsetof(wire::SharedPage, version) == 0);
  if (page.get() < 0 || syscall(SYS_ftruncate, page.get(), long{wire::kPageSize}) != 0 ||
      sys::write(page.get(), &version, sizeof version) != sizeof version ||
      sys::fcntl(page.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0 || !page.move_high()) {
    return -1;
  }
  return page.release();
}

int send_start(int channel, const Settings& settings, uint32_t kinds, const int* fds,
               size_t count) {
  constexpr size_t kMost = 3;
  struct {
    wire::WireHeader header;
    uint32_t fds;
  } front = {{wire::Type::start, wire::kVersion}, kinds};
  static_assert(offsetof(wire::StartMessage, settings) == sizeof front);
  static_assert(sizeof(wire::StartMessage) == sizeof front + sizeof settings);
  iovec parts[] = {{&front, sizeof front}, {const_cast<Settings*>(&settings), sizeof settings}};
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int) * kMost)] = {};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
  memcpy(CMSG_DATA(rights), fds, sizeof(int) * count);
  for (;;) {
    if (sys::sendmsg(channel, &message, MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

}  // namespace udpcr
