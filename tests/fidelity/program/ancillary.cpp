// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ancillary.hpp"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <sys/time.h>

#include <ctime>

#include "numbers.hpp"

namespace fidelity {
namespace {

struct Name {
  int level, type;
  const char* text;
};
// Those whose value is a number.
constexpr Name kNumbers[] = {
    {SOL_IP, IP_TTL, "TTL"},
    {SOL_IPV6, IPV6_HOPLIMIT, "TTL"},
    {SOL_IP, IP_TOS, "TOS"},
    {SOL_IPV6, IPV6_TCLASS, "TOS"},
    {SOL_IP, kIpRecvfragsize, "FRAGSIZE"},
    {SOL_IPV6, kIpv6Recvfragsize, "FRAGSIZE"},
    {SOL_SOCKET, SO_RXQ_OVFL, "RXQ_OVFL"},
    {SOL_SOCKET, SO_MARK, "MARK"},
    {SOL_SOCKET, SO_PRIORITY, "PRIORITY"},
    {SOL_UDP, kUdpGro, "GRO"},
};
constexpr Name kBytes[] = {
    {SOL_IP, IP_RECVOPTS, "OPTIONS"},      {SOL_IPV6, IPV6_HOPOPTS, "HOPOPTS"},
    {SOL_IPV6, IPV6_DSTOPTS, "DSTOPTS"},   {SOL_IPV6, IPV6_RTHDR, "RTHDR"},
    {SOL_IPV6, kIpv6Flowinfo, "FLOWINFO"},
};

template <typename Value>
Value value_of(const cmsghdr& cmsg) {
  Value value{};
  const std::size_t size = cmsg.cmsg_len - CMSG_LEN(0);
  std::memcpy(&value, CMSG_DATA(&cmsg), size < sizeof value ? size : sizeof value);
  return value;
}

void read_error(const cmsghdr& cmsg, Got& got) {
  struct {
    sock_extended_err error;
    sockaddr_storage offender;
  } all = value_of<decltype(all)>(cmsg);
  const sock_extended_err& error = all.error;
  got.ancillary["ERRNO"] = std::to_string(error.ee_errno);
  got.ancillary["ORIGIN"] = std::to_string(error.ee_origin);
  got.ancillary["TYPE"] = std::to_string(error.ee_type) + "/" + std::to_string(error.ee_code);
  got.ancillary["INFO"] = std::to_string(error.ee_info);
  got.ancillary["DATA"] = std::to_string(error.ee_data);
  Endpoint offender;
  offender.name = all.offender;
  got.ancillary["OFFENDER"] = host(offender);
}

std::string seconds(const timespec& time) {
  char out[40];
  std::snprintf(out, sizeof out, "%lld.%09ld", static_cast<long long>(time.tv_sec), time.tv_nsec);
  return out;
}

}  // namespace

void read_ancillary(const cmsghdr& cmsg, Got& got) {
  const auto is = [&](int level, int type) {
    return cmsg.cmsg_level == level && cmsg.cmsg_type == type;
  };
  for (const Name& one : kNumbers) {
    if (!is(one.level, one.type)) continue;
    // IP_TOS is a byte, the others are an int.
    got.ancillary[one.text] = std::to_string(value_of<int>(cmsg));
    return;
  }
  for (const Name& one : kBytes) {
    if (!is(one.level, one.type)) continue;
    got.ancillary[one.text] = hex(CMSG_DATA(&cmsg), cmsg.cmsg_len - CMSG_LEN(0));
    return;
  }
  char address[INET6_ADDRSTRLEN] = "";
  if (is(SOL_IP, IP_PKTINFO)) {
    const auto info = value_of<in_pktinfo>(cmsg);
    got.ancillary["DST"] = ::inet_ntop(AF_INET, &info.ipi_addr, address, sizeof address);
    got.ancillary["SPEC"] = ::inet_ntop(AF_INET, &info.ipi_spec_dst, address, sizeof address);
    got.ancillary["IF"] = interface_name(static_cast<unsigned>(info.ipi_ifindex));
  } else if (is(SOL_IPV6, IPV6_PKTINFO)) {
    const auto info = value_of<in6_pktinfo>(cmsg);
    got.ancillary["DST"] = ::inet_ntop(AF_INET6, &info.ipi6_addr, address, sizeof address);
    got.ancillary["IF"] = interface_name(info.ipi6_ifindex);
  } else if (is(SOL_IP, IP_ORIGDSTADDR) || is(SOL_IPV6, kIpv6Recvorigdstaddr)) {
    got.destination.name = value_of<sockaddr_storage>(cmsg);
    got.ancillary["ORIGDST"] = text(got.destination);
  } else if (is(SOL_SOCKET, SO_TIMESTAMPNS)) {
    got.ancillary["TIME"] = seconds(value_of<timespec>(cmsg));
  } else if (is(SOL_SOCKET, SO_TIMESTAMPING)) {
    got.ancillary["TXTIME"] = seconds(value_of<timespec>(cmsg));
  } else if (is(SOL_IP, IP_RECVERR) || is(SOL_IPV6, IPV6_RECVERR)) {
    read_error(cmsg, got);
  }
}

void ask_for_everything(int fd, int family) {
  const int on = 1;
  const auto ask = [&](int level, int name) {
    // Older kernels lack some.
    ::setsockopt(fd, level, name, &on, sizeof on);
  };
  ask(SOL_SOCKET, SO_TIMESTAMPNS);
  ask(SOL_SOCKET, SO_RXQ_OVFL);
  ask(SOL_SOCKET, kSoRcvmark);
  ask(SOL_SOCKET, kSoRcvpriority);
  for (const int name :
       {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVORIGDSTADDR, IP_RECVOPTS, kIpRecvfragsize}) {
    ask(SOL_IP, name);
  }
  if (family != AF_INET6) return;
  for (const int name :
       {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS,
        IPV6_RECVRTHDR, kIpv6Flowinfo, kIpv6Recvorigdstaddr, kIpv6Recvfragsize}) {
    ask(SOL_IPV6, name);
  }
}

}  // namespace fidelity
