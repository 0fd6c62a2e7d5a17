// SPDX-License-Identifier: LGPL-2.1-or-later
#include "wire.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "trial.hpp"

namespace fidelity {
namespace {

// fidelity_network.py
constexpr unsigned char kLeft[] = {2, 0, 0, 0, 9, 1};
constexpr unsigned char kRight[] = {2, 0, 0, 0, 9, 2};

int wire() {
  static const int fd = [] {
    const char* value = std::getenv("FIDELITY_WIRE");
    if (value == nullptr) throw Broken("there is no packet socket: FIDELITY_WIRE");
    return std::atoi(value);
  }();
  return fd;
}

using Bytes = std::string;
Bytes u8(unsigned value) { return {static_cast<char>(value)}; }
Bytes u16(unsigned value) { return u8(value >> 8U) + u8(value & 0xffU); }
Bytes u32(std::uint32_t value) { return u16(value >> 16U) + u16(value & 0xffffU); }

unsigned at16(const Bytes& bytes, std::size_t i) {
  return static_cast<unsigned>(static_cast<unsigned char>(bytes[i])) << 8U |
         static_cast<unsigned char>(bytes[i + 1]);
}

unsigned checksum(Bytes bytes) {
  if (bytes.size() % 2 != 0) bytes += '\0';
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) sum += at16(bytes, i);
  while (sum >> 16U != 0) sum = (sum & 0xffffU) + (sum >> 16U);
  return ~sum & 0xffffU;
}

Bytes address_bytes(const std::string& address) {
  const Endpoint endpoint = at(address, 0);
  if (endpoint.name.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(endpoint.name);
    return {reinterpret_cast<const char*>(&v4.sin_addr), 4};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(endpoint.name);
  return {reinterpret_cast<const char*>(&v6.sin6_addr), 16};
}

bool is_v4(const Packet& packet) { return packet.source.find(':') == std::string::npos; }

Bytes udp(const Packet& packet) {
  const unsigned size = static_cast<unsigned>(packet.payload.size() + 8);
  const Bytes head = u16(packet.source_port) + u16(packet.destination_port) + u16(size);
  const Bytes pseudo =
      address_bytes(packet.source) + address_bytes(packet.destination) +
      (is_v4(packet) ? u16(IPPROTO_UDP) + u16(size) : u32(size) + u32(IPPROTO_UDP));
  const unsigned sum = checksum(pseudo + head + u16(0) + packet.payload);
  return head + u16(sum == 0 ? 0xffffU : sum) + packet.payload;
}

// `offset`: of a fragment, in bytes; `more` of them follow.
Bytes ipv4(const Packet& packet, unsigned protocol, const Bytes& body, std::size_t offset = 0,
           bool more = false) {
  const auto words = static_cast<unsigned>(5 + packet.options.size() / 4);
  const unsigned fragment = static_cast<unsigned>(offset / 8) | (more ? 0x2000U : 0U);
  const Bytes before = u8(0x40U | words) + u8(static_cast<unsigned>(packet.tos)) +
                       u16(static_cast<unsigned>(20 + packet.options.size() + body.size())) +
                       u16(packet.destination_port) + u16(fragment) +
                       u8(static_cast<unsigned>(packet.ttl)) + u8(protocol);
  const Bytes after =
      address_bytes(packet.source) + address_bytes(packet.destination) + packet.options;
  return before + u16(checksum(before + u16(0) + after)) + after + body;
}

Bytes ipv6(const Packet& packet, unsigned next, const Bytes& body) {
  return u32(6U << 28U | static_cast<std::uint32_t>(packet.tos) << 20U | packet.flow_label) +
         u16(static_cast<unsigned>(body.size())) + u8(next) +
         u8(static_cast<unsigned>(packet.ttl)) + address_bytes(packet.source) +
         address_bytes(packet.destination) + body;
}

// IPv6's fragment header.
Bytes fragment_header(unsigned next, std::size_t offset, bool more) {
  return u8(next) + u8(0) + u16(static_cast<unsigned>(offset) | (more ? 1U : 0U)) + u32(0x51ce);
}

void put_on_wire(const Packet& packet, const Bytes& ip) {
  Bytes to(reinterpret_cast<const char*>(kLeft), 6);
  const Bytes destination = address_bytes(packet.destination);
  const auto first = static_cast<unsigned char>(destination[0]);
  if (is_v4(packet) && first >= 224 && first < 240) {
    to = Bytes("\x01\x00\x5e", 3) + u8(static_cast<unsigned char>(destination[1]) & 0x7fU) +
         destination.substr(2);
  } else if (is_v4(packet) && (destination[3] == '\xff')) {
    to = Bytes(6, '\xff');
  } else if (!is_v4(packet) && first == 0xff) {
    to = Bytes("\x33\x33", 2) + destination.substr(12);
  }
  const Bytes frame = to + Bytes(reinterpret_cast<const char*>(kRight), 6) +
                      u16(is_v4(packet) ? ETH_P_IP : ETH_P_IPV6) + ip;
  if (::send(wire(), frame.data(), frame.size(), 0) < 0) fail("send to the wire", errno);
}

bool parse_ip(const Bytes& frame, Frame& out, Bytes& body) {
  const unsigned type = at16(frame, 12);
  const Bytes ip = frame.substr(14);
  char text[INET6_ADDRSTRLEN];
  const bool v4 = type == ETH_P_IP && ip.size() >= 20;
  if (!v4 && (type != ETH_P_IPV6 || ip.size() < 40)) return false;
  const int family = v4 ? AF_INET : AF_INET6;
  out.source = ::inet_ntop(family, ip.data() + (v4 ? 12 : 8), text, sizeof text);
  out.destination = ::inet_ntop(family, ip.data() + (v4 ? 16 : 24), text, sizeof text);
  out.ip_size = ip.size();
  if (v4) {
    out.tos = static_cast<unsigned char>(ip[1]);
    out.ttl = static_cast<unsigned char>(ip[8]);
    out.is_fragment = (at16(ip, 6) & 0x3fffU) != 0;
    body = ip.substr(std::size_t{4} * (static_cast<unsigned char>(ip[0]) & 0xfU));
    return ip[9] == IPPROTO_UDP;
  }
  out.tos = static_cast<int>(at16(ip, 0) >> 4U & 0xffU);
  out.ttl = static_cast<unsigned char>(ip[7]);
  auto next = static_cast<unsigned char>(ip[6]);
  std::size_t begin = 40;
  while (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING ||
         next == IPPROTO_FRAGMENT) {
    out.is_fragment = out.is_fragment || next == IPPROTO_FRAGMENT;
    const std::size_t size =
        next == IPPROTO_FRAGMENT ? 8 : 8 + 8 * static_cast<std::size_t>(ip[begin + 1]);
    next = static_cast<unsigned char>(ip[begin]);
    begin += size;
  }
  body = ip.substr(begin);
  return next == IPPROTO_UDP;
}

}  // namespace

void send_packet(const Packet& packet) {
  const Bytes datagram = udp(packet);
  if (is_v4(packet)) {
    if (packet.fragment == 0) return put_on_wire(packet, ipv4(packet, IPPROTO_UDP, datagram));
    put_on_wire(packet, ipv4(packet, IPPROTO_UDP, datagram.substr(0, packet.fragment), 0, true));
    return put_on_wire(packet, ipv4(packet, IPPROTO_UDP, datagram.substr(packet.fragment),
                                    packet.fragment, false));
  }
  if (packet.fragment != 0) {
    put_on_wire(packet,
                ipv6(packet, IPPROTO_FRAGMENT,
                     fragment_header(IPPROTO_UDP, 0, true) + datagram.substr(0, packet.fragment)));
    return put_on_wire(packet, ipv6(packet, IPPROTO_FRAGMENT,
                                    fragment_header(IPPROTO_UDP, packet.fragment, false) +
                                        datagram.substr(packet.fragment)));
  }
  const bool has_extension = !packet.extension.empty();
  put_on_wire(
      packet,
      ipv6(packet, static_cast<unsigned>(has_extension ? packet.extension_type : IPPROTO_UDP),
           packet.extension + datagram));
}

void send_packet_to(int fd, const Packet& packet) {
  const unsigned before = queue_memory(fd);
  send_packet(packet);
  await_more(fd, before);
}

void send_unreachable(const Packet& about, const std::string& from, bool extended) {
  Packet icmp;
  icmp.source = from;
  icmp.destination = about.source;
  const bool v4 = is_v4(about);
  Bytes quoted = v4 ? ipv4(about, IPPROTO_UDP, udp(about)) : ipv6(about, IPPROTO_UDP, udp(about));
  Bytes second_word = u32(0);
  if (extended) {
    // Padded to 128 bytes, whose number stands in words of 4 (v6: 8) bytes.
    quoted.resize(128, '\0');
    second_word = v4 ? u8(0) + u8(128 / 4) + u16(0) : u8(128 / 8) + u8(0) + u16(0);
    const Bytes object = u16(8) + u8(1) + u8(1) + u32(0xabcd);
    quoted += u16(0x2000) + u16(checksum(u16(0x2000) + u16(0) + object)) + object;
  }
  const Bytes rest = second_word + quoted;
  const Bytes head = v4 ? u8(3) + u8(3) : u8(1) + u8(4);
  const Bytes pseudo = v4 ? Bytes()
                          : address_bytes(icmp.source) + address_bytes(icmp.destination) +
                                u32(static_cast<std::uint32_t>(rest.size() + 4)) +
                                u32(IPPROTO_ICMPV6);
  const Bytes message = head + u16(checksum(pseudo + head + u16(0) + rest)) + rest;
  put_on_wire(icmp, v4 ? ipv4(icmp, IPPROTO_ICMP, message) : ipv6(icmp, IPPROTO_ICMPV6, message));
}

std::vector<Frame> frames(unsigned port) {
  settle();
  std::vector<Frame> found;
  pollfd events{wire(), POLLIN, 0};
  while (::poll(&events, 1, 0) == 1) {
    Bytes frame(70000, '\0');
    const ssize_t size = ::recv(wire(), frame.data(), frame.size(), MSG_DONTWAIT);
    if (size < 14) continue;
    frame.resize(static_cast<std::size_t>(size));
    Frame one;
    Bytes body;
    // Ours come back from a packet socket too.
    if (frame.compare(6, 6, reinterpret_cast<const char*>(kLeft), 6) != 0) continue;
    if (!parse_ip(frame, one, body)) continue;
    if (one.is_fragment) {
      one.payload = body;
      found.push_back(one);
      continue;
    }
    if (body.size() < 8) continue;
    one.source_port = at16(body, 0);
    one.destination_port = at16(body, 2);
    one.payload = body.substr(8);
    if (one.source_port == port || one.destination_port == port) found.push_back(one);
  }
  return found;
}

}  // namespace fidelity
