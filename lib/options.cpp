// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.hpp"

#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "errors.hpp"
#include "kernel_numbers.hpp"
#include "persist.hpp"
#include "rights.hpp"

namespace udpcr {
namespace {

using enum OptionKind;
using enum OptionScope;
constexpr SetWhen kBefore = SetWhen::before_bind;
constexpr SetWhen kAfter = SetWhen::after_bind;
constexpr ReadBy kModule = ReadBy::module;

#define NAMED(level, name, text, ...) \
  OptionRow { level, name, text, ##__VA_ARGS__ }
#define ROW(level, name, ...) \
  OptionRow { level, name, #name, ##__VA_ARGS__ }

// What only the module reads, and in which form: kmod/options.c.  IP_MULTICAST_IF
// is longer there: struct ip_mreqn, with the interface's index.
//
// SO_BINDTODEVICE stands in SocketRecord::device.  IP_TOS before SO_PRIORITY,
// which it sets (net/ipv4/ip_sockglue.c, __ip_sock_set_tos); each pair of old
// and new timestamp option in this order, as the new one takes the old over.
constexpr OptionRow kTable[] = {
    ROW(SOL_SOCKET, SO_REUSEADDR),
    ROW(SOL_SOCKET, SO_REUSEPORT),
    ROW(SOL_SOCKET, SO_BROADCAST),
    ROW(SOL_SOCKET, SO_RCVBUF, buffer),
    ROW(SOL_SOCKET, SO_SNDBUF, buffer),
    NAMED(SOL_SOCKET, kSoBufLock, "SO_BUF_LOCK"),
    ROW(SOL_SOCKET, SO_RCVLOWAT),
    ROW(SOL_SOCKET, SO_RCVTIMEO, bytes),
    ROW(SOL_SOCKET, SO_SNDTIMEO, bytes),
    ROW(SOL_SOCKET, SO_DEBUG),
    ROW(SOL_SOCKET, SO_DONTROUTE),
    ROW(SOL_SOCKET, SO_KEEPALIVE),
    ROW(SOL_SOCKET, SO_OOBINLINE),
    ROW(SOL_SOCKET, SO_NO_CHECK),
    ROW(SOL_SOCKET, SO_LINGER, bytes),
    ROW(SOL_SOCKET, SO_PASSCRED),
    ROW(SOL_SOCKET, SO_PASSSEC),
    NAMED(SOL_SOCKET, kSoPasspidfd, "SO_PASSPIDFD"),
    ROW(SOL_SOCKET, SO_TIMESTAMP),
    ROW(SOL_SOCKET, SO_TIMESTAMPNS),
    NAMED(SOL_SOCKET, kSoTimestampNew, "SO_TIMESTAMP_NEW"),
    NAMED(SOL_SOCKET, kSoTimestampnsNew, "SO_TIMESTAMPNS_NEW"),
    ROW(SOL_SOCKET, SO_TIMESTAMPING),
    NAMED(SOL_SOCKET, kSoTimestampingNew, "SO_TIMESTAMPING_NEW"),
    ROW(SOL_SOCKET, SO_RXQ_OVFL),
    ROW(SOL_SOCKET, SO_WIFI_STATUS),
    ROW(SOL_SOCKET, SO_NOFCS),
    ROW(SOL_SOCKET, SO_SELECT_ERR_QUEUE),
    ROW(SOL_SOCKET, SO_BUSY_POLL),
    NAMED(SOL_SOCKET, kSoPreferBusyPoll, "SO_PREFER_BUSY_POLL"),
    NAMED(SOL_SOCKET, kSoBusyPollBudget, "SO_BUSY_POLL_BUDGET", number, kBefore, all, kModule),
    ROW(SOL_SOCKET, SO_MAX_PACING_RATE, bytes),
    ROW(SOL_SOCKET, SO_ZEROCOPY),
    NAMED(SOL_SOCKET, kSoTxtime, "SO_TXTIME", bytes),
    NAMED(SOL_SOCKET, kSoReserveMem, "SO_RESERVE_MEM"),
    NAMED(SOL_SOCKET, kSoTxrehash, "SO_TXREHASH"),
    NAMED(SOL_SOCKET, kSoRcvmark, "SO_RCVMARK"),
    NAMED(SOL_SOCKET, kSoRcvpriority, "SO_RCVPRIORITY"),
    ROW(SOL_SOCKET, SO_MARK),
    ROW(SOL_SOCKET, SO_INCOMING_CPU),

    ROW(SOL_IP, IP_TOS),
    ROW(SOL_SOCKET, SO_PRIORITY),
    ROW(SOL_IP, IP_TTL),
    ROW(SOL_IP, IP_OPTIONS, bytes),
    ROW(SOL_IP, IP_MTU_DISCOVER),
    ROW(SOL_IP, IP_RECVERR),
    NAMED(SOL_IP, kIpRecverrRfc4884, "IP_RECVERR_RFC4884"),
    ROW(SOL_IP, IP_PKTINFO),
    ROW(SOL_IP, IP_RECVTTL),
    ROW(SOL_IP, IP_RECVTOS),
    ROW(SOL_IP, IP_RECVOPTS),
    ROW(SOL_IP, IP_RETOPTS),
    ROW(SOL_IP, IP_PASSSEC),
    ROW(SOL_IP, IP_RECVORIGDSTADDR),
    ROW(SOL_IP, IP_CHECKSUM),
    NAMED(SOL_IP, kIpRecvfragsize, "IP_RECVFRAGSIZE"),
    ROW(SOL_IP, IP_FREEBIND),
    ROW(SOL_IP, IP_TRANSPARENT),
    ROW(SOL_IP, IP_BIND_ADDRESS_NO_PORT),
    ROW(SOL_IP, IP_MINTTL),
    ROW(SOL_IP, IP_UNICAST_IF),
    ROW(SOL_IP, IP_MULTICAST_IF, bytes),
    ROW(SOL_IP, IP_MULTICAST_TTL),
    ROW(SOL_IP, IP_MULTICAST_LOOP),
    ROW(SOL_IP, IP_MULTICAST_ALL),
    NAMED(SOL_IP, kIpLocalPortRange, "IP_LOCAL_PORT_RANGE", number, kAfter),

    ROW(SOL_IPV6, IPV6_V6ONLY, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_UNICAST_HOPS, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_TCLASS, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_MTU_DISCOVER, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_RECVERR, number, kBefore, ipv6),
    NAMED(SOL_IPV6, kIpv6RecverrRfc4884, "IPV6_RECVERR_RFC4884", number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_RECVPKTINFO, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_2292PKTINFO, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_RECVHOPLIMIT, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_2292HOPLIMIT, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_RECVTCLASS, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_RECVRTHDR, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_2292RTHDR, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_RECVHOPOPTS, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_2292HOPOPTS, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_RECVDSTOPTS, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_2292DSTOPTS, number, kBefore, ipv6),
    NAMED(SOL_IPV6, kIpv6Flowinfo, "IPV6_FLOWINFO", number, kBefore, ipv6),
    NAMED(SOL_IPV6, kIpv6FlowinfoSend, "IPV6_FLOWINFO_SEND", number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_RECVPATHMTU, number, kBefore, ipv6),
    NAMED(SOL_IPV6, kIpv6Recvorigdstaddr, "IPV6_RECVORIGDSTADDR", number, kBefore, ipv6),
    NAMED(SOL_IPV6, kIpv6Recvfragsize, "IPV6_RECVFRAGSIZE", number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_DONTFRAG, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_AUTOFLOWLABEL, number, kBefore, ipv6),
    NAMED(SOL_IPV6, kIpv6Freebind, "IPV6_FREEBIND", number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_TRANSPARENT, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_MINHOPCOUNT, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_ADDR_PREFERENCES, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_UNICAST_IF, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_MULTICAST_IF, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_MULTICAST_HOPS, number, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_MULTICAST_LOOP, number, kBefore, ipv6),
    NAMED(SOL_IPV6, kIpv6MulticastAll, "IPV6_MULTICAST_ALL", number, kBefore, ipv6),
    NAMED(SOL_IPV6, kIpv6RouterAlertIsolate, "IPV6_ROUTER_ALERT_ISOLATE", number, kBefore, ipv6,
          ReadBy::getsockopt),
    ROW(SOL_IPV6, IPV6_MTU, number, kBefore, ipv6, kModule),
    ROW(SOL_IPV6, IPV6_PKTINFO, bytes, kBefore, ipv6, kModule),
    ROW(SOL_IPV6, IPV6_HOPOPTS, bytes, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_RTHDRDSTOPTS, bytes, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_RTHDR, bytes, kBefore, ipv6),
    ROW(SOL_IPV6, IPV6_DSTOPTS, bytes, kBefore, ipv6),

    ROW(SOL_UDP, UDP_NO_CHECK6_TX),
    ROW(SOL_UDP, UDP_NO_CHECK6_RX),
    NAMED(SOL_UDP, kUdpSegment, "UDP_SEGMENT"),
    NAMED(SOL_UDP, kUdpGro, "UDP_GRO"),
    NAMED(SOL_UDP, kUdpliteSendCscov, "UDPLITE_SEND_CSCOV", number, kBefore, udp_lite),
    NAMED(SOL_UDP, kUdpliteRecvCscov, "UDPLITE_RECV_CSCOV", number, kBefore, udp_lite),
    // After connect: a corked socket cannot be connected elsewhere.
    ROW(SOL_UDP, UDP_CORK, number, kAfter),
    ROW(SOL_SOCKET, SO_PEEK_OFF, number, kAfter),
    // After the filter itself.
    ROW(SOL_SOCKET, SO_LOCK_FILTER, number, kAfter),
};
#undef ROW
#undef NAMED

}  // namespace

std::span<const OptionRow> option_table() noexcept { return kTable; }

bool applies(const OptionRow& row, int family, int protocol) noexcept {
  switch (row.scope) {
    case all:
      return true;
    case ipv6:
      return family == AF_INET6;
    case udp_lite:
      return protocol == IPPROTO_UDPLITE;
  }
  return false;
}

const OptionRow* find_option(int level, int name) noexcept {
  for (const OptionRow& row : kTable) {
    if (row.level == level && row.name == name) return &row;
  }
  return nullptr;
}

const char* option_name(int level, int name) noexcept {
  if (level == SOL_SOCKET && name == SO_BINDTODEVICE) return "SO_BINDTODEVICE";
  if (level == SOL_SOCKET && name == SO_ATTACH_FILTER) return "SO_ATTACH_FILTER";
  if (level == SOL_SOCKET && name == SO_ATTACH_REUSEPORT_CBPF) return "SO_ATTACH_REUSEPORT_CBPF";
  const OptionRow* row = find_option(level, name);
  return row != nullptr ? row->text : "option";
}

namespace {

[[noreturn]] void fail_to_read(int fd, int level, int name, int error_number) {
  const OptionRow* const row = find_option(level, name);
  const std::string text =
      row != nullptr ? row->text
                     : "socket option " + std::to_string(level) + "/" + std::to_string(name);
  fail("read " + text + " of fd " + std::to_string(fd), error_number, "");
}

// 0 or the errno; `size` receives the value's.
int look(int fd, int level, int name, void* value, socklen_t& size) noexcept {
  const socklen_t room = size;
  const auto ask = [&] {
    size = room;
    return ::getsockopt(fd, level, name, value, &size);
  };
  return persist(ask) == 0 ? 0 : errno;
}

// What kernels and security modules answer about an option that is not to be
// had; any other failure leaves it open whether there is one.
bool tells_absence(int error_number) noexcept {
  switch (error_number) {
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EINVAL:
    case EPERM:
    case EACCES:
    case ENOENT:
    case ENODEV:
    case ENODATA:
    case ENOTCONN:
    case ENOTSOCK:
    case EADDRNOTAVAIL:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<Bytes> read_option(int fd, int level, int name) {
  std::uint8_t value[256];
  socklen_t size = sizeof value;
  const int error = look(fd, level, name, value, size);
  if (error == 0) return Bytes(value, value + size);
  if (tells_absence(error)) return std::nullopt;
  fail_to_read(fd, level, name, error);
}

std::optional<int> read_number(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  const int error = look(fd, level, name, &value, size);
  if (error == 0) return value;
  if (tells_absence(error)) return std::nullopt;
  fail_to_read(fd, level, name, error);
}

int require_number(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  const int error = look(fd, level, name, &value, size);
  if (error != 0) fail_to_read(fd, level, name, error);
  return value;
}

int write_option(int fd, int level, int name, ByteView value) noexcept {
  const auto size = static_cast<socklen_t>(value.size());
  const auto set = [&] { return rights().setsockopt(fd, level, name, value.data(), size); };
  return persist(set) == 0 ? 0 : errno;
}

int write_number(int fd, int level, int name, int value) noexcept {
  const auto set = [&] { return rights().setsockopt(fd, level, name, &value, sizeof value); };
  return persist(set) == 0 ? 0 : errno;
}

int put_back(int fd, const OptionRow& row, ByteView value) noexcept {
  if (row.kind != buffer) return write_option(fd, row.level, row.name, value);
  int doubled = 0;
  if (value.size() != sizeof doubled) return EINVAL;
  std::memcpy(&doubled, value.data(), sizeof doubled);
  const int forced = row.name == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE;
  // The forced form knows no limit but wants CAP_NET_ADMIN; the other one
  // cuts at net.core.[rw]mem_max without a word.
  if (write_number(fd, SOL_SOCKET, forced, doubled / 2) == 0) return 0;
  if (const int error = write_number(fd, SOL_SOCKET, row.name, doubled / 2)) return error;
  int now = 0;
  socklen_t size = sizeof now;
  if (const int error = look(fd, SOL_SOCKET, row.name, &now, size)) return error;
  return now == doubled ? 0 : EPERM;
}

bool same_value(const OptionRow& row, ByteView one, ByteView other) noexcept {
  if (row.level == SOL_IP && row.name == IP_MULTICAST_IF && one.size() != other.size()) {
    const auto address = [](ByteView value) {
      return value.size() == sizeof(ip_mreqn)
                 ? value.subspan(offsetof(ip_mreqn, imr_address), sizeof(in_addr))
                 : value;
    };
    one = address(one);
    other = address(other);
  }
  return std::equal(one.begin(), one.end(), other.begin(), other.end());
}

}  // namespace udpcr
