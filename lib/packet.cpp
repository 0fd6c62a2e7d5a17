// SPDX-License-Identifier: LGPL-2.1-or-later
#include "packet.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace udpcr {
namespace {

constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kIpv6Header = 40;
constexpr std::size_t kFragmentHeader = 8;
constexpr std::size_t kUdpHeader = 8;
constexpr std::uint8_t kNextFragment = 44;  // RFC 8200, 4.5

void put16(std::uint8_t* at, std::size_t value) noexcept {
  at[0] = static_cast<std::uint8_t>(value >> 8U);
  at[1] = static_cast<std::uint8_t>(value);
}

// The Internet checksum's sum (RFC 1071), not yet folded.
std::uint64_t sum(ByteView bytes) noexcept {
  std::uint64_t total = 0;
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, &bytes[i], 4);
    total += word;
  }
  std::uint8_t tail[4] = {};
  std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(i), bytes.end(), tail);
  std::uint32_t word = 0;
  std::memcpy(&word, tail, 4);
  return total + word;
}

std::uint16_t fold(std::uint64_t total) noexcept {
  while ((total >> 16U) != 0) total = (total & 0xffffU) + (total >> 16U);
  return static_cast<std::uint16_t>(total);
}

// UDP header and payload, with a checksum.
Bytes make_transport(const PacketPlan& plan, ByteView payload) {
  Bytes transport(kUdpHeader + payload.size());
  put16(&transport[0], plan.source.port);
  put16(&transport[2], plan.destination.port);
  // UDP-Lite has the checksum's coverage here; 0: all of it (RFC 3828, 3.1).
  if (plan.protocol == IPPROTO_UDP) put16(&transport[4], transport.size());
  std::copy(payload.begin(), payload.end(), transport.begin() + kUdpHeader);
  const std::size_t size = plan.source.family == AF_INET ? 4 : 16;
  // The kernel replaces the source 0.0.0.0 (net/ipv4/raw.c, raw_send_hdrinc),
  // which would make the checksum wrong; UDP over IPv4 goes without (RFC 768).
  if (size == 4 && plan.source.is_wildcard() && plan.protocol == IPPROTO_UDP) return transport;
  std::uint8_t pseudo[8] = {};
  put16(&pseudo[2], transport.size());
  pseudo[7] = plan.protocol;
  std::uint16_t checksum = static_cast<std::uint16_t>(~fold(sum({plan.source.bytes, size}) +
                                                            sum({plan.destination.bytes, size}) +
                                                            sum(pseudo) + sum(transport)));
  if (checksum == 0) checksum = 0xffff;  // 0 would mean: none
  std::memcpy(&transport[6], &checksum, sizeof checksum);
  return transport;
}

// The kernel fills in the total length and the header's checksum.
Bytes ipv4_packet(const PacketPlan& plan, ByteView data, std::size_t offset, bool more) {
  const std::size_t header = kIpv4Header + plan.options.size();
  Bytes packet(header + data.size());
  packet[0] = static_cast<std::uint8_t>(0x40U | header / 4);
  packet[1] = plan.tos;
  put16(&packet[2], packet.size());
  put16(&packet[4], plan.mark.ipv4_id);
  put16(&packet[6], offset / 8 | (more ? 0x2000U : 0U));
  packet[8] = plan.ttl;
  packet[9] = plan.protocol;
  std::copy_n(plan.source.bytes, 4, &packet[12]);
  std::copy_n(plan.destination.bytes, 4, &packet[16]);
  std::copy(plan.options.begin(), plan.options.end(), packet.begin() + kIpv4Header);
  std::copy(data.begin(), data.end(), packet.begin() + static_cast<std::ptrdiff_t>(header));
  return packet;
}

Bytes ipv6_packet(const PacketPlan& plan, ByteView data, std::size_t offset, bool fragment,
                  bool more) {
  const std::size_t extra = fragment ? kFragmentHeader : plan.options.size();
  Bytes packet(kIpv6Header + extra + data.size());
  const std::uint32_t first =
      htonl(6U << 28U | std::uint32_t{plan.tos} << 20U | (plan.mark.flow_label & 0xfffffU));
  std::memcpy(packet.data(), &first, sizeof first);
  put16(&packet[4], extra + data.size());
  packet[6] = fragment ? kNextFragment : plan.options.empty() ? plan.protocol : plan.next_header;
  packet[7] = plan.ttl;
  std::copy_n(plan.source.bytes, 16, &packet[8]);
  std::copy_n(plan.destination.bytes, 16, &packet[24]);
  if (fragment) {
    packet[40] = plan.protocol;
    put16(&packet[42], offset | (more ? 1U : 0U));
    put16(&packet[46], plan.mark.ipv4_id);  // identification, lower half
  } else {
    std::copy(plan.options.begin(), plan.options.end(), packet.begin() + kIpv6Header);
  }
  std::copy(data.begin(), data.end(),
            packet.begin() + static_cast<std::ptrdiff_t>(kIpv6Header + extra));
  return packet;
}

// On arrival the kernel writes its address into a recorded route that has room
// (net/ipv4/ip_options.c, __ip_options_compile): the last entry is taken out
// where that is what it was.  False: it would become another.
bool rewind_route(std::uint8_t* option, std::size_t size, const Address& destination) {
  const std::size_t pointer = size < 3 ? 0 : option[2];  // counts from 1
  if (pointer > size) return true;                       // full
  if (pointer < 8 || std::memcmp(option + pointer - 5, destination.bytes, 4) != 0) return false;
  std::memset(option + pointer - 5, 0, 4);
  option[2] = static_cast<std::uint8_t>(pointer - 4);
  return true;
}

bool fit_ipv4(Bytes& options, const Address& destination) {
  constexpr std::uint8_t kEnd = 0;
  constexpr std::uint8_t kNothing = 1;
  constexpr std::uint8_t kRecordRoute = 7;
  constexpr std::uint8_t kTimestamp = 68;
  if (options.size() > 40 || options.size() % 4 != 0) return false;
  for (std::size_t at = 0; at < options.size() && options[at] != kEnd;) {
    if (options[at] == kNothing) {
      ++at;
      continue;
    }
    const std::size_t left = options.size() - at;
    const std::size_t size = left < 2 ? 0 : options[at + 1];
    if (size < 2 || size > left) return false;
    // It would have another time.
    if (options[at] == kTimestamp) return false;
    if (options[at] == kRecordRoute && !rewind_route(&options[at], size, destination)) return false;
    at += size;
  }
  return true;
}

// Whether each of the headers names the next, and the last one UDP.
bool is_whole(ByteView headers, std::uint8_t protocol) {
  std::uint8_t next = 0;
  while (headers.size() >= 8) {
    const std::size_t size = (headers[1] + std::size_t{1}) * 8;
    if (size > headers.size()) return false;
    next = headers[0];
    headers = headers.subspan(size);
  }
  return headers.empty() && next == protocol;
}

}  // namespace

bool fit_options(PacketPlan& plan, std::size_t payload) {
  if (plan.options.empty()) return true;
  const bool v4 = plan.source.family == AF_INET;
  const std::size_t size =
      (v4 ? kIpv4Header : kIpv6Header) + plan.options.size() + kUdpHeader + payload;
  const bool fits =
      size <= std::min<std::size_t>(plan.mtu, 65535) &&
      (v4 ? fit_ipv4(plan.options, plan.destination) : is_whole(plan.options, plan.protocol));
  if (!fits) plan.options.clear();
  return fits;
}

std::vector<Bytes> make_packets(const PacketPlan& plan, ByteView payload) {
  const bool v4 = plan.source.family == AF_INET;
  const Bytes transport = make_transport(plan, payload);
  const ByteView data = transport;
  const std::size_t header = v4 ? kIpv4Header : kIpv6Header;
  std::vector<Bytes> packets;
  if (header + plan.options.size() + data.size() <=
      std::min<std::size_t>(plan.mtu, v4 ? 65535 : 65536)) {
    packets.push_back(v4 ? ipv4_packet(plan, data, 0, false)
                         : ipv6_packet(plan, data, 0, false, false));
    return packets;
  }
  const std::size_t room = plan.mtu - header - (v4 ? 0 : kFragmentHeader);
  const std::size_t chunk = std::min<std::size_t>(room, 60000) / 8 * 8;
  for (std::size_t offset = 0; offset < data.size(); offset += chunk) {
    const std::size_t size = std::min(chunk, data.size() - offset);
    const bool more = offset + size < data.size();
    const ByteView part = data.subspan(offset, size);
    packets.push_back(v4 ? ipv4_packet(plan, part, offset, more)
                         : ipv6_packet(plan, part, offset, true, more));
  }
  return packets;
}

}  // namespace udpcr
