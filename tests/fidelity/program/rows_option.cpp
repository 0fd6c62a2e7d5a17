// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Options that the kernel tells: set, and read again.
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <netinet/udp.h>
#include <sys/time.h>

#include "numbers.hpp"
#include "rows.hpp"

namespace fidelity {
namespace {

using Value = std::string;  // the bytes

template <typename T>
Value value(const T& from) {
  return {reinterpret_cast<const char*>(&from), sizeof from};
}
Value number(int from) { return value(from); }

struct Option {
  int level, name;
  const char* text;
  Value wanted;
};

#define OPTION(level, name, wanted) \
  { level, name, #name, wanted }
#define NAMED(level, number, text, wanted) \
  { level, number, text, wanted }

// On both families.
const std::vector<Option>& common() {
  static const std::vector<Option> kOptions = {
      OPTION(SOL_SOCKET, SO_REUSEADDR, number(1)),
      OPTION(SOL_SOCKET, SO_REUSEPORT, number(1)),
      OPTION(SOL_SOCKET, SO_BROADCAST, number(1)),
      OPTION(SOL_SOCKET, SO_RCVBUF, number(50000)),
      OPTION(SOL_SOCKET, SO_SNDBUF, number(60000)),
      OPTION(SOL_SOCKET, SO_RCVBUFFORCE, number(40 << 20)),
      OPTION(SOL_SOCKET, SO_SNDBUFFORCE, number(41 << 20)),
      NAMED(SOL_SOCKET, kSoBufLock, "SO_BUF_LOCK", number(2)),
      OPTION(SOL_SOCKET, SO_RCVLOWAT, number(7)),
      OPTION(SOL_SOCKET, SO_RCVTIMEO, value(timeval{3, 500000})),
      OPTION(SOL_SOCKET, SO_SNDTIMEO, value(timeval{4, 0})),
      OPTION(SOL_SOCKET, SO_DEBUG, number(1)),
      OPTION(SOL_SOCKET, SO_DONTROUTE, number(1)),
      OPTION(SOL_SOCKET, SO_KEEPALIVE, number(1)),
      OPTION(SOL_SOCKET, SO_OOBINLINE, number(1)),
      OPTION(SOL_SOCKET, SO_NO_CHECK, number(1)),
      OPTION(SOL_SOCKET, SO_LINGER, value(linger{1, 5})),
      OPTION(SOL_SOCKET, SO_PASSCRED, number(1)),
      OPTION(SOL_SOCKET, SO_PASSSEC, number(1)),
      NAMED(SOL_SOCKET, kSoPasspidfd, "SO_PASSPIDFD", number(1)),
      OPTION(SOL_SOCKET, SO_TIMESTAMP, number(1)),
      OPTION(SOL_SOCKET, SO_TIMESTAMPNS, number(1)),
      NAMED(SOL_SOCKET, kSoTimestampNew, "SO_TIMESTAMP_NEW", number(1)),
      NAMED(SOL_SOCKET, kSoTimestampnsNew, "SO_TIMESTAMPNS_NEW", number(1)),
      OPTION(SOL_SOCKET, SO_TIMESTAMPING,
             number(SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE)),
      NAMED(SOL_SOCKET, kSoTimestampingNew, "SO_TIMESTAMPING_NEW",
            number(SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE)),
      OPTION(SOL_SOCKET, SO_RXQ_OVFL, number(1)),
      OPTION(SOL_SOCKET, SO_WIFI_STATUS, number(1)),
      OPTION(SOL_SOCKET, SO_NOFCS, number(1)),
      OPTION(SOL_SOCKET, SO_SELECT_ERR_QUEUE, number(1)),
      OPTION(SOL_SOCKET, SO_BUSY_POLL, number(25)),
      NAMED(SOL_SOCKET, kSoPreferBusyPoll, "SO_PREFER_BUSY_POLL", number(1)),
      OPTION(SOL_SOCKET, SO_MAX_PACING_RATE, value(std::uint64_t{1234567})),
      OPTION(SOL_SOCKET, SO_ZEROCOPY, number(1)),
      NAMED(SOL_SOCKET, kSoTxtime, "SO_TXTIME", value(std::uint64_t{1})),
      NAMED(SOL_SOCKET, kSoReserveMem, "SO_RESERVE_MEM", number(4096)),
      NAMED(SOL_SOCKET, kSoTxrehash, "SO_TXREHASH", number(0)),
      NAMED(SOL_SOCKET, kSoRcvmark, "SO_RCVMARK", number(1)),
      NAMED(SOL_SOCKET, kSoRcvpriority, "SO_RCVPRIORITY", number(1)),
      OPTION(SOL_SOCKET, SO_MARK, number(99)),
      OPTION(SOL_SOCKET, SO_PRIORITY, number(5)),
      OPTION(SOL_SOCKET, SO_PEEK_OFF, number(3)),
      OPTION(SOL_SOCKET, SO_INCOMING_CPU, number(1)),
      OPTION(SOL_IP, IP_TOS, number(0x48)),
      OPTION(SOL_IP, IP_TTL, number(33)),
      OPTION(SOL_IP, IP_OPTIONS, Value("\x94\x04\x00\x00", 4)),  // router alert
      OPTION(SOL_IP, IP_MTU_DISCOVER, number(IP_PMTUDISC_PROBE)),
      OPTION(SOL_IP, IP_RECVERR, number(1)),
      NAMED(SOL_IP, kIpRecverrRfc4884, "IP_RECVERR_RFC4884", number(1)),
      OPTION(SOL_IP, IP_PKTINFO, number(1)),
      OPTION(SOL_IP, IP_RECVTTL, number(1)),
      OPTION(SOL_IP, IP_RECVTOS, number(1)),
      OPTION(SOL_IP, IP_RECVOPTS, number(1)),
      OPTION(SOL_IP, IP_RETOPTS, number(1)),
      OPTION(SOL_IP, IP_PASSSEC, number(1)),
      OPTION(SOL_IP, IP_RECVORIGDSTADDR, number(1)),
      OPTION(SOL_IP, IP_CHECKSUM, number(1)),
      NAMED(SOL_IP, kIpRecvfragsize, "IP_RECVFRAGSIZE", number(1)),
      OPTION(SOL_IP, IP_FREEBIND, number(1)),
      OPTION(SOL_IP, IP_TRANSPARENT, number(1)),
      OPTION(SOL_IP, IP_BIND_ADDRESS_NO_PORT, number(1)),
      OPTION(SOL_IP, IP_MINTTL, number(3)),
      OPTION(SOL_IP, IP_MULTICAST_TTL, number(9)),
      OPTION(SOL_IP, IP_MULTICAST_LOOP, number(0)),
      NAMED(SOL_IP, kIpLocalPortRange, "IP_LOCAL_PORT_RANGE", number(41000 << 16 | 40000)),
      OPTION(SOL_UDP, UDP_NO_CHECK6_TX, number(1)),
      OPTION(SOL_UDP, UDP_NO_CHECK6_RX, number(1)),
      NAMED(SOL_UDP, kUdpSegment, "UDP_SEGMENT", number(1200)),
      NAMED(SOL_UDP, kUdpGro, "UDP_GRO", number(1)),
      OPTION(SOL_UDP, UDP_CORK, number(1)),
  };
  return kOptions;
}

const std::vector<Option>& of_ipv6() {
  static const std::vector<Option> kOptions = {
      OPTION(SOL_IPV6, IPV6_UNICAST_HOPS, number(44)),
      OPTION(SOL_IPV6, IPV6_TCLASS, number(0x24)),
      OPTION(SOL_IPV6, IPV6_MTU_DISCOVER, number(IPV6_PMTUDISC_PROBE)),
      OPTION(SOL_IPV6, IPV6_RECVERR, number(1)),
      NAMED(SOL_IPV6, kIpv6RecverrRfc4884, "IPV6_RECVERR_RFC4884", number(1)),
      OPTION(SOL_IPV6, IPV6_RECVPKTINFO, number(1)),
      OPTION(SOL_IPV6, IPV6_2292PKTINFO, number(1)),
      OPTION(SOL_IPV6, IPV6_RECVHOPLIMIT, number(1)),
      OPTION(SOL_IPV6, IPV6_2292HOPLIMIT, number(1)),
      OPTION(SOL_IPV6, IPV6_RECVTCLASS, number(1)),
      OPTION(SOL_IPV6, IPV6_RECVRTHDR, number(1)),
      OPTION(SOL_IPV6, IPV6_2292RTHDR, number(1)),
      OPTION(SOL_IPV6, IPV6_RECVHOPOPTS, number(1)),
      OPTION(SOL_IPV6, IPV6_2292HOPOPTS, number(1)),
      OPTION(SOL_IPV6, IPV6_RECVDSTOPTS, number(1)),
      OPTION(SOL_IPV6, IPV6_2292DSTOPTS, number(1)),
      NAMED(SOL_IPV6, kIpv6Flowinfo, "IPV6_FLOWINFO", number(1)),
      NAMED(SOL_IPV6, kIpv6FlowinfoSend, "IPV6_FLOWINFO_SEND", number(1)),
      OPTION(SOL_IPV6, IPV6_RECVPATHMTU, number(1)),
      NAMED(SOL_IPV6, kIpv6Recvorigdstaddr, "IPV6_RECVORIGDSTADDR", number(1)),
      NAMED(SOL_IPV6, kIpv6Recvfragsize, "IPV6_RECVFRAGSIZE", number(1)),
      OPTION(SOL_IPV6, IPV6_DONTFRAG, number(1)),
      OPTION(SOL_IPV6, IPV6_AUTOFLOWLABEL, number(0)),
      NAMED(SOL_IPV6, kIpv6Freebind, "IPV6_FREEBIND", number(1)),
      OPTION(SOL_IPV6, IPV6_TRANSPARENT, number(1)),
      OPTION(SOL_IPV6, IPV6_MINHOPCOUNT, number(4)),
      OPTION(SOL_IPV6, IPV6_ADDR_PREFERENCES, number(2)),
      OPTION(SOL_IPV6, IPV6_MULTICAST_HOPS, number(11)),
      OPTION(SOL_IPV6, IPV6_MULTICAST_LOOP, number(0)),
      NAMED(SOL_IPV6, kIpv6MulticastAll, "IPV6_MULTICAST_ALL", number(0)),
      // One unit of 8 bytes: next header, length, PadN of 4.
      OPTION(SOL_IPV6, IPV6_HOPOPTS, Value("\0\0\1\4\0\0\0\0", 8)),
      OPTION(SOL_IPV6, IPV6_DSTOPTS, Value("\0\0\1\4\0\0\0\0", 8)),
      OPTION(SOL_IPV6, IPV6_RTHDRDSTOPTS, Value("\0\0\1\4\0\0\0\0", 8)),
      // Type 4, one segment, fd00:9::7.
      OPTION(SOL_IPV6, IPV6_RTHDR,
             Value("\0\2\4\0\0\0\0\0\xfd\0\0\x09\0\0\0\0\0\0\0\0\0\0\0\7", 24)),
  };
  return kOptions;
}
#undef OPTION
#undef NAMED

// SO_RCVBUFFORCE and its like are read as the one without the force.
int read_as(const Option& option) {
  if (option.level != SOL_SOCKET) return option.name;
  if (option.name == SO_RCVBUFFORCE) return SO_RCVBUF;
  return option.name == SO_SNDBUFFORCE ? SO_SNDBUF : option.name;
}

void add(Rows& rows, const Kind& kind, const Option& option) {
  const auto observe = [option](Trial& trial) {
    trial.answer("value", get_hex(trial.fd(), option.level, read_as(option)));
    if (option.level == SOL_SOCKET &&
        (read_as(option) == SO_RCVBUF || read_as(option) == SO_SNDBUF)) {
      trial.answer("lock", get_number(trial.fd(), SOL_SOCKET, kSoBufLock));
    }
  };
  std::string named = option.text;
  if (const std::size_t force = named.find("FORCE"); force != std::string::npos)
    named.resize(force);
  rows.push_back({std::string("option/") + option.text + "/" + kind.suffix, named, bound(kind),
                  [option](Trial& trial) {
                    set(trial.fd(), option.level, option.name, option.wanted.data(),
                        static_cast<socklen_t>(option.wanted.size()), option.text);
                  },
                  observe});
}

}  // namespace

void add_options(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    for (const Option& option : common()) add(rows, kind, option);
  }
  for (const Option& option : of_ipv6()) add(rows, kV6, option);
  // On from the start, but off on an IPv6 socket.
  add(rows, kV4, {SOL_IP, IP_MULTICAST_ALL, "IP_MULTICAST_ALL", number(0)});
  add(rows, kV6, {SOL_IP, IP_MULTICAST_ALL, "IP_MULTICAST_ALL", number(1)});
}

bool has_option_row(int level, int number) {
  for (const auto* options : {&common(), &of_ipv6()}) {
    for (const Option& one : *options) {
      if (one.level == level && one.name == number) return true;
    }
  }
  return level == SOL_IP && number == IP_MULTICAST_ALL;
}

}  // namespace fidelity
