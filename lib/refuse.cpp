// SPDX-License-Identifier: LGPL-2.1-or-later
#include "refuse.hpp"

#include <linux/filter.h>
#include <sys/socket.h>

#include <cerrno>

#include "errors.hpp"
#include "options.hpp"

namespace udpcr {

void refuse_datagrams(int fd) {
  sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{1, &nothing};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0) return;
  // SO_LOCK_FILTER is set, or the memory for filters is used up
  // (net.core.optmem_max).  A connected socket takes datagrams of its peer
  // only: give it one that never speaks.
  const int family = require_number(fd, SOL_SOCKET, SO_DOMAIN);
  Address nobody;
  nobody.family = static_cast<std::uint16_t>(family);
  nobody.port = 9;  // discard
  if (family == AF_INET) {
    nobody.bytes[0] = 127;
    nobody.bytes[1] = nobody.bytes[2] = nobody.bytes[3] = 254;
  } else {
    nobody.bytes[15] = 1;
  }
  socklen_t size = 0;
  const sockaddr_storage name = nobody.to_sockaddr(size);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    fail("stop fd " + std::to_string(fd) + " from receiving while its queue is taken", errno,
         "its filter is locked (SO_LOCK_FILTER); use UDPCR_AFTER=continue for this program");
  }
}

}  // namespace udpcr
