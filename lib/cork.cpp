// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What stands in the socket's options is not said again with the datagram, so
// that what the program changes before it sends it has the effect that it had.
#include "cork.hpp"

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "control_message.hpp"
#include "errors.hpp"
#include "kernel_numbers.hpp"
#include "rights.hpp"
#include "route.hpp"

namespace udpcr {
namespace {

// RFC 8200, 4.1
constexpr std::uint8_t kHopByHop = 0;
constexpr std::uint8_t kRouting = 43;
constexpr std::uint8_t kDestination = 60;

const Bytes* find(const SocketRecord& record, int level, int name) {
  for (const SocketOption& option : record.options) {
    if (option.level == level && option.name == name) return &option.value;
  }
  return nullptr;
}

std::uint32_t number(const SocketRecord& record, int level, int name) {
  const Bytes* const value = find(record, level, name);
  std::uint32_t result = 0;
  if (value != nullptr && value->size() >= sizeof result) {
    std::memcpy(&result, value->data(), sizeof result);
  }
  return result;
}

bool same_ip(const Address& one, const Address& other) {
  return one.family == other.family && std::equal(one.bytes, one.bytes + 16, other.bytes);
}

// ::ffff:192.0.2.1 for the destination of an IPv4 datagram on an IPv6 socket.
Address mapped(const Address& v4) {
  Address v6;
  v6.family = AF_INET6;
  v6.port = v4.port;
  v6.bytes[10] = v6.bytes[11] = 0xff;
  std::copy_n(v4.bytes, 4, v6.bytes + 12);
  return v6;
}

class Cork {
 public:
  Cork(const SocketRecord& record, const Datagram& datagram)
      : record_(record), datagram_(datagram), v4_(datagram.destination->family == AF_INET) {}

  // Returns 0 or the errno.
  int send(int fd);

 private:
  [[nodiscard]] Address on_socket(const Address& address) const {
    return v4_ && record_.family == AF_INET6 ? mapped(address) : address;
  }
  void say_way();
  void say_ipv4();
  void say_ipv6();
  void say_extension_headers();
  void say_common();

  const SocketRecord& record_;
  const Datagram& datagram_;
  bool v4_;
  ControlMessages control_;
};

// Source and interface, where the socket does not have them.
void Cork::say_way() {
  Address source;
  if (datagram_.source) source = *datagram_.source;
  const bool from_elsewhere =
      datagram_.source && !source.is_wildcard() && !same_ip(on_socket(source), record_.local);
  const std::uint32_t bound = record_.device.empty() ? 0 : interface_index(record_.device);
  const std::uint32_t interface =
      datagram_.ifindex.value_or(0) == bound ? 0 : datagram_.ifindex.value_or(0);
  if (!from_elsewhere && interface == 0) return;
  if (v4_) {
    in_pktinfo info{};
    info.ipi_ifindex = static_cast<int>(interface);
    if (from_elsewhere) std::memcpy(&info.ipi_spec_dst, source.bytes, sizeof info.ipi_spec_dst);
    control_.add(SOL_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    info.ipi6_ifindex = interface;
    if (from_elsewhere) std::memcpy(&info.ipi6_addr, source.bytes, sizeof info.ipi6_addr);
    control_.add(SOL_IPV6, IPV6_PKTINFO, info);
  }
}

void Cork::say_ipv4() {
  // Only what came with the datagram is known of it (net/ipv4/ip_output.c,
  // __ip_make_skb).
  if (datagram_.tos) control_.add(SOL_IP, IP_TOS, int{*datagram_.tos});
  if (datagram_.ttl) control_.add(SOL_IP, IP_TTL, int{*datagram_.ttl});
  const Bytes* const options = find(record_, SOL_IP, IP_OPTIONS);
  if (!datagram_.ip_options.empty() && (options == nullptr || *options != datagram_.ip_options)) {
    control_.add_bytes(SOL_IP, IP_RETOPTS, datagram_.ip_options);
  }
}

void Cork::say_ipv6() {
  if (datagram_.tos) control_.add(SOL_IPV6, IPV6_TCLASS, int{*datagram_.tos});
  if (datagram_.ttl) control_.add(SOL_IPV6, IPV6_HOPLIMIT, int{*datagram_.ttl});
  if (datagram_.flow_label.value_or(0) != 0) {
    control_.add(SOL_IPV6, kIpv6Flowinfo, htonl(*datagram_.flow_label));
  }
  say_extension_headers();
}

// Those that the socket does not have anyway.
void Cork::say_extension_headers() {
  std::uint8_t kind = datagram_.next_header.value_or(0);
  bool routed = false;
  for (ByteView left = datagram_.ip_options; left.size() >= 8;) {
    const std::size_t size = std::min<std::size_t>(left.size(), (left[1] + std::size_t{1}) * 8);
    Bytes header(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(size));
    const std::uint8_t next = header[0];
    header[0] = 0;
    int type = 0;
    if (kind == kHopByHop) type = IPV6_HOPOPTS;
    if (kind == kRouting) type = IPV6_RTHDR;
    if (kind == kDestination) {
      const bool before_routing = !routed && next == kRouting;
      type = before_routing ? IPV6_RTHDRDSTOPTS : IPV6_DSTOPTS;
    }
    routed = routed || kind == kRouting;
    Bytes sticky;
    if (const Bytes* const value = find(record_, SOL_IPV6, type)) sticky = *value;
    if (!sticky.empty()) sticky[0] = 0;
    if (type != 0 && sticky != header) control_.add_bytes(SOL_IPV6, type, header);
    kind = next;
    left = left.subspan(size);
  }
}

void Cork::say_common() {
  if (const std::uint32_t mark = datagram_.mark.value_or(0);
      mark != number(record_, SOL_SOCKET, SO_MARK)) {
    control_.add(SOL_SOCKET, SO_MARK, mark);
  }
  if (datagram_.priority && *datagram_.priority != number(record_, SOL_SOCKET, SO_PRIORITY)) {
    control_.add(SOL_SOCKET, SO_PRIORITY, *datagram_.priority);
  }
  if (const std::uint16_t size = datagram_.gso_size.value_or(0);
      size != number(record_, SOL_UDP, kUdpSegment)) {
    control_.add(SOL_UDP, kUdpSegment, size);
  }
  if (datagram_.timestamp) control_.add(SOL_SOCKET, kSoTxtime, *datagram_.timestamp);
}

int Cork::send(int fd) {
  say_way();
  v4_ ? say_ipv4() : say_ipv6();
  say_common();
  Address destination = on_socket(*datagram_.destination);
  if (destination.family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(destination.bytes)) {
    destination.scope = datagram_.ifindex.value_or(0);
  }
  socklen_t size = 0;
  sockaddr_storage name = destination.to_sockaddr(size);
  iovec vector{const_cast<std::uint8_t*>(datagram_.payload.data()), datagram_.payload.size()};
  msghdr message{};
  const bool to_peer =
      record_.peer && same_ip(*record_.peer, destination) && record_.peer->port == destination.port;
  if (!to_peer) {
    message.msg_name = &name;
    message.msg_namelen = size;
  }
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  control_.attach(message);
  // With UDP_CORK on, MSG_MORE changes nothing (net/ipv4/udp.c, udp_sendmsg).
  return rights().send_more(fd, message) >= 0 ? 0 : errno;
}

}  // namespace

void restore_cork(int fd, const SocketState& state, std::vector<Loss>& losses) {
  std::size_t offset = 0;
  const ByteView message = state.send_queue.next(offset);
  if (message.empty()) return;
  std::vector<std::uint16_t> unknown;
  Datagram datagram = decode_datagram(message, unknown);
  const auto lose = [&](const std::string& why, const char* remedy) {
    losses.push_back(
        {"cork", std::to_string(datagram.payload.size()) + " bytes were corked: " + why, remedy});
  };
  constexpr const char* kAgain = "let the program send them again";
  if (!datagram.destination) {
    return lose("where to is not known", kAgain);
  }
  if (!unknown.empty()) {
    return lose("this version does not know attribute " + std::to_string(unknown.front()),
                "use a newer udpcr");
  }
  int error = Cork(state.record, datagram).send(fd);
  if (error == EINVAL && datagram.priority) {
    // SO_PRIORITY with a datagram came with Linux 6.14; TOS sets one everywhere.
    const std::uint32_t priority = *std::exchange(datagram.priority, std::nullopt);
    error = Cork(state.record, datagram).send(fd);
    if (error == 0 && !datagram.tos) {
      losses.push_back({"priority",
                        "the corked datagram had " + std::to_string(priority) +
                            ", which this kernel does not take with a datagram",
                        "use Linux 6.14 or newer"});
    }
  }
  if (error != 0) {
    const std::string where = "to " + to_string(*datagram.destination) + ": " + errno_text(error);
    lose(where, error == EPERM ? "run with CAP_NET_ADMIN"
                : error == ENETUNREACH || error == EINVAL || error == ENODEV
                    ? "give this machine the same addresses and routes"
                    : kAgain);
  }
}

}  // namespace udpcr
