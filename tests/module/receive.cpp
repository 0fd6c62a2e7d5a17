// SPDX-License-Identifier: LGPL-2.1-or-later
#include "receive.hpp"

#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "kernel_numbers.hpp"
#include "network.hpp"
#include "support.hpp"
#include "talk.hpp"

namespace udpcr::test {
namespace {

struct Asked {
  int level;
  int name;  // of the option
  int type;  // of the ancillary message
  const char* text;
};

constexpr Asked kAsked[] = {
    {SOL_SOCKET, SO_TIMESTAMPNS, SO_TIMESTAMPNS, "SO_TIMESTAMPNS"},
    {SOL_SOCKET, kSoRcvmark, SO_MARK, "SO_MARK"},
    {SOL_IP, IP_PKTINFO, IP_PKTINFO, "IP_PKTINFO"},
    {SOL_IP, IP_RECVTTL, IP_TTL, "IP_TTL"},
    {SOL_IP, IP_RECVTOS, IP_TOS, "IP_TOS"},
    {SOL_IP, IP_RECVORIGDSTADDR, IP_ORIGDSTADDR, "IP_ORIGDSTADDR"},
    {SOL_IP, IP_RECVOPTS, IP_RECVOPTS, "IP_RECVOPTS"},
    {SOL_IP, IP_RETOPTS, IP_RETOPTS, "IP_RETOPTS"},
    {SOL_IP, kIpRecvfragsize, kIpRecvfragsize, "IP_RECVFRAGSIZE"},
    {SOL_UDP, kUdpGro, kUdpGro, "UDP_GRO"},
};
constexpr Asked kAsked6[] = {
    {SOL_IPV6, IPV6_RECVPKTINFO, IPV6_PKTINFO, "IPV6_PKTINFO"},
    {SOL_IPV6, IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT, "IPV6_HOPLIMIT"},
    {SOL_IPV6, IPV6_RECVTCLASS, IPV6_TCLASS, "IPV6_TCLASS"},
    {SOL_IPV6, kIpv6Recvorigdstaddr, kIpv6Recvorigdstaddr, "IPV6_ORIGDSTADDR"},
    {SOL_IPV6, kIpv6Recvfragsize, kIpv6Recvfragsize, "IPV6_RECVFRAGSIZE"},
    {SOL_IPV6, kIpv6Flowinfo, kIpv6Flowinfo, "IPV6_FLOWINFO"},
    {SOL_IPV6, IPV6_RECVHOPOPTS, IPV6_HOPOPTS, "IPV6_HOPOPTS"},
    {SOL_IPV6, IPV6_RECVDSTOPTS, IPV6_DSTOPTS, "IPV6_DSTOPTS"},
    {SOL_IPV6, IPV6_RECVRTHDR, IPV6_RTHDR, "IPV6_RTHDR"},
    {SOL_IPV6, IPV6_2292HOPOPTS, IPV6_2292HOPOPTS, "IPV6_2292HOPOPTS"},
    {SOL_IPV6, IPV6_2292DSTOPTS, IPV6_2292DSTOPTS, "IPV6_2292DSTOPTS"},
    {SOL_IPV6, IPV6_2292RTHDR, IPV6_2292RTHDR, "IPV6_2292RTHDR"},
};

std::string name_of(int level, int type) {
  for (const Asked& one : kAsked) {
    if (one.level == level && one.type == type) return one.text;
  }
  for (const Asked& one : kAsked6) {
    if (one.level == level && one.type == type) return one.text;
  }
  return std::to_string(level) + "/" + std::to_string(type);
}

void check(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::uint32_t meminfo(int fd, unsigned index) {
  settle();
  std::uint32_t info[kMeminfoCount] = {};
  socklen_t size = sizeof info;
  check(::getsockopt(fd, SOL_SOCKET, kSoMeminfo, info, &size) == 0, "SO_MEMINFO");
  return info[index];
}

}  // namespace

int Received::number(const std::string& name) const {
  const auto found = ancillary.find(name);
  if (found == ancillary.end()) throw std::runtime_error("no " + name + " came");
  int value = 0;
  std::memcpy(&value, found->second.data(), std::min(sizeof value, found->second.size()));
  return value;
}

std::string to_string(const Received& received) {
  std::string line = to_string(received.source) + " " + std::to_string(received.payload.size()) +
                     " bytes, flags " + std::to_string(received.flags);
  for (const auto& [name, value] : received.ancillary) {
    line += " " + name + "=";
    for (const std::uint8_t byte : value) {
      constexpr char kHex[] = "0123456789abcdef";
      line += kHex[byte >> 4];
      line += kHex[byte & 15];
    }
  }
  return line;
}

void ask_for_all(int fd) {
  for (const Asked& one : kAsked) set(fd, one.level, one.name, 1);
  // Since 6.14; elsewhere nobody sees the priority.
  const int on = 1;
  (void)::setsockopt(fd, SOL_SOCKET, kSoRcvpriority, &on, sizeof on);
  if (get(fd, SOL_SOCKET, SO_DOMAIN) != AF_INET6) return;
  for (const Asked& one : kAsked6) set(fd, one.level, one.name, 1);
}

bool receive(int fd, Received& received, int flags) {
  std::string room(70000, '\0');
  sockaddr_storage name{};
  iovec vector{room.data(), room.size()};
  alignas(cmsghdr) char control[8192];
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = sizeof name;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = ::recvmsg(fd, &message, flags | MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) {
    settle();
    got = ::recvmsg(fd, &message, flags | MSG_DONTWAIT);
  }
  if (got < 0) {
    check(errno == EAGAIN, "recvmsg");
    return false;
  }
  received = {};
  received.source = Address::from_sockaddr(name);
  room.resize(static_cast<std::size_t>(got));
  received.payload = std::move(room);
  received.flags = message.msg_flags;
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr;
       item = CMSG_NXTHDR(&message, item)) {
    const unsigned char* data = CMSG_DATA(item);
    Bytes& all = received.ancillary[name_of(item->cmsg_level, item->cmsg_type)];
    all.insert(all.end(), data, data + (item->cmsg_len - CMSG_LEN(0)));
  }
  return true;
}

std::vector<Received> receive_all(int fd, int flags) {
  std::vector<Received> all;
  for (Received one; receive(fd, one, flags);) all.push_back(one);
  return all;
}

std::vector<std::string> texts(const std::vector<Received>& received) {
  std::vector<std::string> all;
  for (const Received& one : received) all.push_back(one.payload);
  return all;
}

void send_with(int fd, const Address& where, const std::string& payload, const Sending& how) {
  const bool v6 = where.family == AF_INET6;
  alignas(cmsghdr) char control[256] = {};
  std::size_t used = 0;
  const auto add = [&](int level, int type, const void* data, std::size_t size) {
    cmsghdr head{};
    head.cmsg_level = level;
    head.cmsg_type = type;
    head.cmsg_len = CMSG_LEN(size);
    std::memcpy(control + used, &head, sizeof head);
    std::memcpy(control + used + CMSG_LEN(0), data, size);
    used += CMSG_SPACE(size);
  };
  if (how.ttl >= 0) add(v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_HOPLIMIT : IP_TTL, &how.ttl, sizeof(int));
  if (how.tos >= 0) add(v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_TCLASS : IP_TOS, &how.tos, sizeof(int));
  if (how.segment > 0) {
    const auto segment = static_cast<std::uint16_t>(how.segment);
    add(SOL_UDP, kUdpSegment, &segment, sizeof segment);
  }
  socklen_t size = 0;
  sockaddr_storage name = where.to_sockaddr(size);
  iovec vector{const_cast<char*>(payload.data()), payload.size()};
  msghdr message{};
  message.msg_name = where.family == AF_UNSPEC ? nullptr : &name;
  message.msg_namelen = where.family == AF_UNSPEC ? 0 : size;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = used != 0 ? control : nullptr;
  message.msg_controllen = used;
  check(::sendmsg(fd, &message, how.flags) == static_cast<ssize_t>(payload.size()),
        "sendmsg to " + to_string(where));
}

std::size_t next_length(int fd) {
  settle();
  int length = -1;
  check(::ioctl(fd, FIONREAD, &length) == 0, "FIONREAD");
  return static_cast<std::size_t>(length);
}

std::uint32_t charged(int fd) { return meminfo(fd, kMeminfoRmem); }
std::uint32_t dropped(int fd) { return meminfo(fd, kMeminfoDrops); }

std::uint32_t udp_pages() {
  const std::string text = file_text("/proc/self/net/sockstat");
  const auto line = text.find("UDP: ");
  const auto word = text.find("mem ", line);
  if (line == std::string::npos || word == std::string::npos) {
    throw std::runtime_error("/proc/net/sockstat has no UDP memory");
  }
  return static_cast<std::uint32_t>(std::stoul(text.substr(word + 4)));
}

void await_count(int fd, std::uint32_t count) {
  Talk talk;
  for (int i = 0;; ++i) {
    const std::uint32_t found = talk.record(fd).u32(UDPCR_A_QUEUE_COUNT);
    if (found == count) return;
    if (i == 1000) {
      throw std::runtime_error(std::to_string(found) + " datagrams are queued, not " +
                               std::to_string(count));
    }
    ::poll(nullptr, 0, 5);
  }
}

}  // namespace udpcr::test
