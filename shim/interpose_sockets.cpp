// SPDX-License-Identifier: LGPL-2.1-or-later
//
// socket, bind, connect, setsockopt, epoll_ctl.
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "adopt.h"
#include "fd_table.h"
#include "notes.h"
#include "real.h"
#include "shim.h"

#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

namespace udpcr {

namespace {

bool is_udp(int domain, int type, int protocol) {
  return (domain == AF_INET || domain == AF_INET6) &&
         (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_DGRAM &&
         (protocol == 0 || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE);
}

uint32_t bind_flags(const sockaddr* address) {
  uint32_t flags = wire::kFdBound;
  if (address->sa_family == AF_INET) {
    const auto* const v4 = reinterpret_cast<const sockaddr_in*>(address);
    if (v4->sin_port != 0) flags |= wire::kFdBoundPort;
    if (v4->sin_addr.s_addr != INADDR_ANY) flags |= wire::kFdBoundAddress;
  } else if (address->sa_family == AF_INET6) {
    const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(address);
    if (v6->sin6_port != 0) flags |= wire::kFdBoundPort;
    if (!IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) flags |= wire::kFdBoundAddress;
  }
  return flags;
}

// While there is something to adopt, options of sockets that are not bound yet.
bool noteworthy(int fd) {
  return adopt::possible() && fd_table::tracked(fd) &&
         (fd_table::word(fd) & (wire::kFdBound | fd_table::kAdopted)) == 0;
}

}  // namespace

UDPCR_EXPORT int socket(int domain, int type, int protocol) noexcept {
  const int fd = real().socket(domain, type, protocol);
  if (fd >= 0 && is_udp(domain, type, protocol) && shim.active && in_own_process()) {
    fd_table::track(fd, wire::kFdOriginKnown | ((type & SOCK_CLOEXEC) != 0 ? wire::kFdCloexec : 0));
    ensure_keeper();
  }
  return fd;
}

UDPCR_EXPORT int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
  if (adopt::possible() && adopt::at_bind(fd, address, length)) return 0;
  int result = real().bind(fd, address, length);
  if (result != 0 && errno == EADDRINUSE && adopt::possible() && fd_table::tracked(fd) &&
      adopt::make_way_for_bind(address, length)) {
    result = real().bind(fd, address, length);
  }
  if (result == 0 && fd_table::tracked(fd) && in_own_process()) {
    fd_table::add_flags(fd, bind_flags(address));
  }
  return result;
}

UDPCR_EXPORT int connect(int fd, const sockaddr* address, socklen_t length) {
  if (fd_table::tracked(fd) && adopt::at_connect(fd, address, length)) return 0;
  return real().connect(fd, address, length);
}

UDPCR_EXPORT int setsockopt(int fd, int level, int name, const void* value,
                            socklen_t length) noexcept {
  const int result = real().setsockopt(fd, level, name, value, length);
  if (result == 0 && noteworthy(fd)) {
    const KeepErrno keep;
    notes::add_option(fd_table::find(fd)->inode.load(), level, name, value, length);
  }
  return result;
}

UDPCR_EXPORT int epoll_ctl(int epoll_fd, int operation, int fd, epoll_event* event) noexcept {
  const int result = real().epoll_ctl(epoll_fd, operation, fd, event);
  if (result == 0 && noteworthy(fd)) {
    const KeepErrno keep;
    notes::add_epoll(epoll_fd, operation, fd, event);
  }
  return result;
}

}  // namespace udpcr
