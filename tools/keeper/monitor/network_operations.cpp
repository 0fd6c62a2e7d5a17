// SPDX-License-Identifier: LGPL-2.1-or-later
#include "network_operations.hpp"

#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "control_message.hpp"
#include "fresh_socket.hpp"
#include "kernel_numbers.hpp"
#include "module_client.hpp"
#include "options.hpp"
#include "protocol/park.h"

namespace udpcr::keeper::monitor {

namespace {

struct AllowedOption {
  int level;
  int name;
  std::size_t most;  // bytes
};

// Those that the kernel refuses to an ordinary user, or to whom it refuses some values.
constexpr AllowedOption kOptions[] = {
    {SOL_SOCKET, SO_RCVBUFFORCE, sizeof(int)},
    {SOL_SOCKET, SO_SNDBUFFORCE, sizeof(int)},
    {SOL_SOCKET, SO_MARK, sizeof(int)},
    {SOL_SOCKET, SO_PRIORITY, sizeof(int)},
    {SOL_SOCKET, SO_DEBUG, sizeof(int)},
    {SOL_SOCKET, SO_BINDTODEVICE, 16},
    {SOL_SOCKET, SO_BUSY_POLL, sizeof(int)},
    {SOL_SOCKET, kSoPreferBusyPoll, sizeof(int)},
    {SOL_SOCKET, kSoBusyPollBudget, sizeof(int)},
    {SOL_SOCKET, kSoTxtime, 8},
    {SOL_SOCKET, kSoRcvmark, sizeof(int)},
    {SOL_SOCKET, kSoReserveMem, sizeof(int)},
    {SOL_IP, IP_TRANSPARENT, sizeof(int)},
    {SOL_IP, IP_FREEBIND, sizeof(int)},
    {SOL_IP, IP_OPTIONS, 40},
    {SOL_IPV6, IPV6_TRANSPARENT, sizeof(int)},
    {SOL_IPV6, kIpv6Freebind, sizeof(int)},
    {SOL_IPV6, IPV6_HOPOPTS, 2048},
    {SOL_IPV6, IPV6_DSTOPTS, 2048},
    {SOL_IPV6, IPV6_RTHDR, 2048},
    {SOL_IPV6, IPV6_RTHDRDSTOPTS, 2048},
    {SOL_IPV6, IPV6_JOIN_ANYCAST, sizeof(ipv6_mreq)},
    {SOL_IPV6, 32 /* IPV6_FLOWLABEL_MGR of linux/in6.h */, 32},
};

// Of memberships.cpp.
constexpr std::string_view kProcNet[] = {"igmp", "igmp6", "anycast6"};

// A batch may wait in a busy machine's backlog.
constexpr int kRawBuffer = 2 << 20;

Result failure(int error) { return {error, 0, 0, {}}; }

Result done_or_errno(int result) { return result < 0 ? failure(errno) : Result{}; }

Result fd_or_errno(int fd) {
  if (fd < 0) return failure(errno);
  return {0, 0, 0, UniqueFd(fd)};
}

int protocol_of(int socket) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(socket, SOL_SOCKET, SO_PROTOCOL, &value, &size) == 0 ? value : -1;
}

int domain_of(int socket) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &value, &size) == 0 ? value : -1;
}

// Whether it is the one that gets packets of the family to its port: of the other family
// that port is somebody else's.
bool is_of_family(int socket, int family) {
  const int domain = domain_of(socket);
  if (family == domain) return true;
  return family == AF_INET && domain == AF_INET6 &&
         read_number(socket, SOL_IPV6, IPV6_V6ONLY).value_or(1) == 0;
}

}  // namespace

Result NetworkOperations::serve(const Asked& asked, int place) {
  rights_.visit(place);
  switch (asked.request.operation) {
    case Operation::socket:
      return open_socket(asked);
    case Operation::place_of:
      if (!is_udp_socket(asked.fd(0))) break;
      return fd_or_errno(rights_.place_of(asked.fd(0)));
    case Operation::proc_net:
      return open_proc_net(asked);
    case Operation::option:
      return set_option(asked);
    case Operation::bind:
      return bind(asked);
    case Operation::chown:
      if (!is_udp_socket(asked.fd(0))) break;
      return done_or_errno(rights_.chown(asked.fd(0), uid_t(asked.request.number[0])));
    case Operation::send_more:
      return send_more(asked);
    case Operation::raw:
      return send_raw(asked);
    case Operation::claim:
      return claim(asked);
    case Operation::module:
      return send_to_module(asked);
    default:
      break;
  }
  return failure(EPERM);
}

Result NetworkOperations::open_socket(const Asked& asked) {
  const auto [family, type, protocol] = asked.request.number;
  const bool datagram = (family == AF_INET || family == AF_INET6) && type == SOCK_DGRAM &&
                        (protocol == 0 || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE);
  const bool netlink =
      family == AF_NETLINK && type == SOCK_RAW &&
      (protocol == NETLINK_ROUTE || protocol == NETLINK_SOCK_DIAG || protocol == NETLINK_GENERIC);
  if (!datagram && !netlink) return failure(EPERM);
  return fd_or_errno(rights_.socket(family, type, protocol));
}

Result NetworkOperations::open_proc_net(const Asked& asked) {
  const std::string_view name(reinterpret_cast<const char*>(asked.payload.data()),
                              asked.payload.size());
  for (const std::string_view known : kProcNet) {
    if (name == known) return fd_or_errno(rights_.open_proc_net(known.data()));
  }
  return failure(EPERM);
}

Result NetworkOperations::set_option(const Asked& asked) {
  const int level = asked.request.number[0];
  const int name = asked.request.number[1];
  const bool allowed =
      std::any_of(std::begin(kOptions), std::end(kOptions), [&](const AllowedOption& option) {
        return option.level == level && option.name == name && asked.payload.size() <= option.most;
      });
  if (!allowed || !is_udp_socket(asked.fd(0))) return failure(EPERM);
  return done_or_errno(rights_.setsockopt(asked.fd(0), level, name, asked.payload.data(),
                                          socklen_t(asked.payload.size())));
}

Result NetworkOperations::bind(const Asked& asked) {
  sockaddr_storage name{};
  if (!is_udp_socket(asked.fd(0)) || asked.payload.size() > sizeof name) return failure(EPERM);
  std::memcpy(&name, asked.payload.data(), asked.payload.size());
  return done_or_errno(rights_.bind(asked.fd(0), reinterpret_cast<const sockaddr*>(&name),
                                    socklen_t(asked.payload.size())));
}

Result NetworkOperations::send_more(const Asked& asked) {
  const auto name_size = std::size_t(asked.request.number[0]);
  const auto control_size = std::size_t(asked.request.number[1]);
  sockaddr_storage name{};
  if (!is_udp_socket(asked.fd(0)) || name_size > sizeof name ||
      control_size > asked.payload.size() || name_size > asked.payload.size() - control_size) {
    return failure(EPERM);
  }
  std::memcpy(&name, asked.payload.data(), name_size);
  const ByteView told = asked.payload.subspan(name_size, control_size);
  Bytes control(told.begin(), told.end());  // new[] aligns it for a cmsghdr
  const ByteView data = asked.payload.subspan(name_size + control_size);
  iovec vector{const_cast<std::uint8_t*>(data.data()), data.size()};
  msghdr message{};
  message.msg_name = name_size == 0 ? nullptr : &name;
  message.msg_namelen = socklen_t(name_size);
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.empty() ? nullptr : control.data();
  message.msg_controllen = control.size();
  return done_or_errno(rights_.send_more(asked.fd(0), message) < 0 ? -1 : 0);
}

bool NetworkOperations::ready_to_send(int family, std::uint64_t cookie) {
  if (!raw_ || raw_family_ != family || raw_place_ != cookie) {
    raw_ = UniqueFd(rights_.raw_socket(family));
    check_.reset();
    if (!raw_) return false;
    raw_family_ = family;
    raw_place_ = read_cookie(raw_.get(), kSoNetnsCookie);
    write_number(raw_.get(), SOL_SOCKET, SO_BROADCAST, 1);
    write_number(raw_.get(), SOL_SOCKET, SO_SNDBUF, kRawBuffer);
  }
  // The socket that is being filled lives where the packets are sent.
  errno = EPERM;
  return raw_place_ == cookie;
}

Result NetworkOperations::send_raw(const Asked& asked) {
  const int family = asked.request.number[0];
  const int count = asked.request.number[1];
  const std::optional<std::uint16_t> port = private_port_of(asked.fd(0));
  if (!port || !is_of_family(asked.fd(0), family) || count <= 0) return failure(EPERM);
  if (!ready_to_send(family, read_cookie(asked.fd(0), kSoNetnsCookie))) return failure(errno);

  const int protocol = protocol_of(asked.fd(0));
  if (!check_ || !check_->is_for(family, protocol, *port)) {
    check_.emplace(family, protocol, *port);
  }
  Result result;
  ByteView rest = asked.payload;
  for (int i = 0; i < count; ++i) {
    RawPacket packet{};
    if (rest.size() < sizeof packet) return failure(EPERM);
    std::memcpy(&packet, rest.data(), sizeof packet);
    rest = rest.subspan(sizeof packet);
    if (packet.size > rest.size()) return failure(EPERM);
    const ByteView bytes = rest.first(packet.size);
    rest = rest.subspan(std::min(rest.size(), align(packet.size)));
    Address destination;
    if (!check_->may_pass(packet, bytes, destination)) {
      if (result.count == 0) result.error = EPERM;
      return result;
    }
    ControlMessages control;
    if (packet.interface != 0 && family == AF_INET) {
      in_pktinfo info{};
      info.ipi_ifindex = int(packet.interface);
      control.add(SOL_IP, IP_PKTINFO, info);
    } else if (packet.interface != 0) {
      in6_pktinfo info{};
      info.ipi6_ifindex = packet.interface;
      control.add(SOL_IPV6, IPV6_PKTINFO, info);
    }
    if (packet.mark != 0) control.add(SOL_SOCKET, SO_MARK, packet.mark);
    if (packet.priority != 0) control.add(SOL_SOCKET, SO_PRIORITY, packet.priority);
    // Raw sockets take a protocol number in the port's place (net/ipv6/raw.c).
    socklen_t size = 0;
    sockaddr_storage name = destination.to_sockaddr(size);
    iovec vector{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = size;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    control.attach(message);
    ssize_t sent = 0;
    do {
      sent = ::sendmsg(raw_.get(), &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
      if (result.count == 0) result.error = errno;
      return result;
    }
    ++result.count;
  }
  return result;
}

void NetworkOperations::set_image(const std::string& path) {
  image_ = udpcr_identity_hash(UDPCR_HASH_START, path.data(), path.size());
  module_.set_image(image_);
}

Result NetworkOperations::claim(const Asked& asked) {
  std::uint64_t cookie = 0;
  wire::ParkKey key;
  if (asked.payload.size() != sizeof cookie + sizeof key) return failure(EPERM);
  std::memcpy(&cookie, asked.payload.data(), sizeof cookie);
  const ByteView bytes = asked.payload.subspan(sizeof cookie);
  std::memcpy(&key, bytes.data(), sizeof key);
  if (key.image != image_ || image_ == 0) return failure(EPERM);
  try {
    UniqueFd socket = ModuleClient().claim({asked.request.value, {}, cookie}, bytes);
    return {0, 0, 0, std::move(socket)};
  } catch (const Error& error) {
    return failure(error.error_number() != 0 ? error.error_number() : EPERM);
  }
}

Result NetworkOperations::send_to_module(const Asked& asked) {
  const int netlink = asked.fd(0);
  if (domain_of(netlink) != AF_NETLINK || protocol_of(netlink) != NETLINK_GENERIC) {
    return failure(EPERM);
  }
  const int number = asked.request.number[0];
  struct stat shown {};
  if (number >= 0 && (!is_udp_socket(asked.fd(1)) || fstat(asked.fd(1), &shown) != 0)) {
    return failure(EPERM);
  }
  try {
    if (module_.family() == 0) module_.set_family(ModuleClient().family());
  } catch (const Error& error) {
    return failure(error.error_number() != 0 ? error.error_number() : EPERM);
  }
  if (!module_.may_pass(asked.payload, number, shown.st_ino)) return failure(EPERM);
  // The module looks the socket up among our fds, by its number in the keeper.
  UniqueFd as_named;
  if (number >= 0) {
    if (fcntl(number, F_GETFD) >= 0) return failure(EPERM);
    as_named = UniqueFd(dup3(asked.fd(1), number, O_CLOEXEC));
    if (!as_named) return failure(errno);
  }
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  return done_or_errno(int(sendto(netlink, asked.payload.data(), asked.payload.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel)));
}

}  // namespace udpcr::keeper::monitor
