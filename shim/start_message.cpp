// SPDX-License-Identifier: LGPL-2.1-or-later
#include "start_message.h"

#include <string.h>

#include "packet.h"
#include "wire.h"

namespace udpcr {

int make_page() {
  Fd page(
      static_cast<int>(syscall(SYS_memfd_create, "udpcr-page", MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  wire::WireHeader header{wire::Type::page, wire::kVersion};
  header.length = wire::kPageSize;
  static_assert(offsetof(wire::SharedPage, header) == 0);
  if (page.get() < 0 || syscall(SYS_ftruncate, page.get(), long{wire::kPageSize}) != 0 ||
      sys::write(page.get(), &header, sizeof header) != sizeof header ||
      sys::fcntl(page.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0 || !page.move_high()) {
    return -1;
  }
  return page.release();
}

int send_start(int channel, const Settings& settings, uint32_t kinds, const int* fds,
               size_t count) {
  struct {
    wire::WireHeader header;
    uint32_t fds;
  } front = {{wire::Type::start, wire::kVersion}, kinds};
  static_assert(offsetof(wire::StartMessage, settings) == sizeof front);
  static_assert(sizeof(wire::StartMessage) == sizeof front + sizeof settings);
  const iovec parts[] = {{&front, sizeof front},
                         {const_cast<Settings*>(&settings), sizeof settings}};
  int error = 0;
  do {
    error = packet::send(channel, parts, 2, fds, count);
  } while (error == EINTR);
  return error;
}

}  // namespace udpcr
