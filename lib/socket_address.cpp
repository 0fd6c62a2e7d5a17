// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_address.hpp"

#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>

#include "errors.hpp"
#include "persist.hpp"

namespace udpcr {
namespace {

std::string fd_name(int fd) { return "fd " + std::to_string(fd); }

}  // namespace

Address local_address(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  const auto ask = [&] { return ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size); };
  if (persist(ask) != 0) fail("read the local address of " + fd_name(fd), errno, "");
  return Address::from_sockaddr(name);
}

std::optional<Address> peer_address(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  const auto ask = [&] { return ::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size); };
  if (persist(ask) == 0) return Address::from_sockaddr(name);
  if (errno != ENOTCONN) fail("read the peer of " + fd_name(fd), errno, "");
  return std::nullopt;
}

std::string bound_device(int fd) {
  char device[IF_NAMESIZE] = {};
  socklen_t size = sizeof device;
  const auto ask = [&] { return ::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size); };
  if (persist(ask) == 0) return device;
  if (errno != ENODEV && errno != ENOPROTOOPT) {
    fail("read the device that " + fd_name(fd) + " is bound to", errno, "");
  }
  return {};
}

}  // namespace udpcr
