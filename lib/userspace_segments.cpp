// SPDX-License-Identifier: LGPL-2.1-or-later
#include "userspace_segments.hpp"

#include <linux/in6.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "control_message.hpp"
#include "kernel_numbers.hpp"
#include "options.hpp"
#include "rights.hpp"

namespace udpcr {
namespace {

// A label of one's own choice is leased first (ipv6(7)), for as long as the
// socket lives.
bool lease(int fd, const Datagram& datagram) {
  const std::uint32_t label = datagram.flow_label.value_or(0);
  if (label == 0) return write_number(fd, SOL_IPV6, IPV6_AUTOFLOWLABEL, 0) == 0;
  in6_flowlabel_req request{};
  std::memcpy(&request.flr_dst, datagram.destination->bytes, sizeof request.flr_dst);
  request.flr_label = htonl(label);
  request.flr_action = IPV6_FL_A_GET;
  request.flr_share = IPV6_FL_S_ANY;  // it lingers when the socket is closed
  request.flr_flags = IPV6_FL_F_CREATE;
  return rights().setsockopt(fd, SOL_IPV6, IPV6_FLOWLABEL_MGR, &request, sizeof request) == 0 &&
         write_number(fd, SOL_IPV6, kIpv6FlowinfoSend, 1) == 0;
}

}  // namespace

UniqueFd open_segment_socket(const Datagram& datagram) {
  const Address& source = *datagram.source;
  const bool v4 = source.family == AF_INET;
  UniqueFd fd(rights().socket(source.family, SOCK_DGRAM, 0));
  const auto set = [&](int level, int name, std::uint32_t value) {
    return write_number(fd.get(), level, name, static_cast<int>(value)) == 0;
  };
  socklen_t size = 0;
  const sockaddr_storage name = source.to_sockaddr(size);
  const bool ready = fd && set(v4 ? SOL_IP : SOL_IPV6, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, 1) &&
                     set(SOL_SOCKET, SO_MARK, datagram.mark.value_or(0)) &&
                     set(SOL_SOCKET, SO_PRIORITY, datagram.priority.value_or(0)) &&
                     set(SOL_UDP, kUdpSegment, *datagram.gso_size) &&
                     (v4 || lease(fd.get(), datagram)) &&
                     rights().bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0;
  if (!ready) fd.reset();
  return fd;
}

int send_segments(int fd, const Datagram& datagram, std::uint16_t port) {
  Address destination = *datagram.destination;
  destination.port = port;
  const bool v4 = destination.family == AF_INET;
  socklen_t size = 0;
  sockaddr_storage name = destination.to_sockaddr(size);
  if (!v4) {
    reinterpret_cast<sockaddr_in6&>(name).sin6_flowinfo = htonl(datagram.flow_label.value_or(0));
  }
  iovec vector{const_cast<std::uint8_t*>(datagram.payload.data()), datagram.payload.size()};
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = size;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  ControlMessages control;
  const int level = v4 ? SOL_IP : SOL_IPV6;
  if (datagram.tos) control.add(level, v4 ? IP_TOS : IPV6_TCLASS, int{*datagram.tos});
  if (datagram.ttl) control.add(level, v4 ? IP_TTL : IPV6_HOPLIMIT, int{*datagram.ttl});
  control.attach(message);
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd, &message, 0);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

}  // namespace udpcr
