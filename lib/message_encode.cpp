// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Records and datagrams as generic netlink messages.
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <udpcr/udpcr_netlink.h>

#include <udpcr/udpcr.hpp>

namespace udpcr {
namespace {

// All attributes of fixed size of a record or of a datagram, with room to spare.
constexpr std::size_t kFixedRoom = 640;

struct MessageDeleter {
  void operator()(nl_msg* message) const noexcept { nlmsg_free(message); }
};

class Encoder {
 public:
  // `room`: bytes of variable length, headers and padding included.
  Encoder(std::uint8_t command, std::size_t room) : message_(nlmsg_alloc_size(kFixedRoom + room)) {
    if (!message_ || !genlmsg_put(message_.get(), 0, 0, 0, 0, 0, command, UDPCR_GENL_VERSION)) {
      throw Error("cannot encode a message of up to " + std::to_string(kFixedRoom + room) +
                      " bytes: out of memory; free some memory",
                  ENOMEM);
    }
  }

  void u8(int type, std::uint8_t value) { put(type, &value, sizeof value); }
  void u16(int type, std::uint16_t value) { put(type, &value, sizeof value); }
  void u32(int type, std::uint32_t value) { put(type, &value, sizeof value); }
  void u64(int type, std::uint64_t value) { put(type, &value, sizeof value); }
  void binary(int type, ByteView value) { put(type, value.data(), value.size()); }
  void string(int type, const std::string& value) { put(type, value.c_str(), value.size() + 1); }

  static std::size_t ip_size(const Address& address) {
    if (address.family != AF_INET && address.family != AF_INET6) {
      throw Error("cannot encode an address of family " + std::to_string(address.family) +
                  ": only AF_INET and AF_INET6 exist for UDP; leave it out");
    }
    return address.family == AF_INET ? 4 : 16;
  }
  void ip(int type, const Address& address) { put(type, address.bytes, ip_size(address)); }
  void address(int address_type, int port_type, const Address& address) {
    ip(address_type, address);
    u16(port_type, htons(address.port));
  }

  void option(const SocketOption& option) {
    nest(UDPCR_A_OPTION, option.value.size(), [&] {
      u32(UDPCR_OPT_LEVEL, static_cast<std::uint32_t>(option.level));
      u32(UDPCR_OPT_NAME, static_cast<std::uint32_t>(option.name));
      binary(UDPCR_OPT_VALUE, option.value);
    });
  }

  void membership(const Membership& member) {
    nest(UDPCR_A_MEMBERSHIP, member.sources.size() * sizeof(in6_addr), [&] {
      ip(UDPCR_MEMBER_GROUP, member.group);
      u32(UDPCR_MEMBER_IFINDEX, member.ifindex);
      if (!member.device.empty()) string(UDPCR_MEMBER_DEVICE, member.device);
      u32(UDPCR_MEMBER_MODE, member.mode);
      if (!member.sources.empty()) {
        Bytes all;
        for (const Address& source : member.sources) {
          all.insert(all.end(), source.bytes, source.bytes + ip_size(source));
        }
        binary(UDPCR_MEMBER_SOURCES, all);
      }
      if (member.anycast) binary(UDPCR_MEMBER_ANYCAST, {});
    });
  }

  void report(const ErrorReport& error) {
    nest(UDPCR_A_ERRMSG, sizeof error, [&] {
      u32(UDPCR_ERRMSG_ERRNO, error.error_number);
      u8(UDPCR_ERRMSG_ORIGIN, error.origin);
      u8(UDPCR_ERRMSG_TYPE, error.type);
      u8(UDPCR_ERRMSG_CODE, error.code);
      u32(UDPCR_ERRMSG_INFO, error.info);
      u32(UDPCR_ERRMSG_DATA, error.data);
      if (error.offender) ip(UDPCR_ERRMSG_OFFENDER, *error.offender);
    });
  }

  void interface(const Interface& interface) {
    nest(UDPCR_A_INTERFACE, interface.name.size(), [&] {
      u32(UDPCR_INTERFACE_INDEX, interface.index);
      string(UDPCR_INTERFACE_NAME, interface.name);
    });
  }

  void owner(const FileOwner& owner) {
    if (owner.pid != 0) {
      u32(UDPCR_A_OWN_TYPE, owner.type);
      u32(UDPCR_A_OWN_PID, owner.pid);
    }
    if (owner.signal != 0) u32(UDPCR_A_OWN_SIGNAL, owner.signal);
  }

  template <typename Fill>
  void nest(int type, std::size_t size, Fill fill) {
    nlattr* const nest = nla_nest_start(message_.get(), type);
    if (!nest) refuse(type, size);
    fill();
    if (nla_nest_end(message_.get(), nest) < 0) refuse(type, size);
  }

  // The message from genlmsghdr on, without its last `padding` bytes.
  [[nodiscard]] Bytes bytes(std::size_t padding = 0) const {
    nlmsghdr* const header = nlmsg_hdr(message_.get());
    const auto* const begin = static_cast<const std::uint8_t*>(nlmsg_data(header));
    return {begin, begin + nlmsg_datalen(header) - padding};
  }

 private:
  void put(int type, const void* data, std::size_t size) {
    // nla_len is 16 bits wide and counts the attribute's header.
    if (size > UINT16_MAX - NLA_HDRLEN ||
        nla_put(message_.get(), type, static_cast<int>(size), data) < 0) {
      refuse(type, size);
    }
  }

  [[noreturn]] static void refuse(int type, std::size_t size) {
    throw Error("cannot encode attribute " + std::to_string(type) + " of " + std::to_string(size) +
                " bytes: a netlink attribute holds at most " +
                std::to_string(UINT16_MAX - NLA_HDRLEN) + "; shorten it");
  }

  std::unique_ptr<nl_msg, MessageDeleter> message_;
};

}  // namespace

Bytes encode_record(const SocketRecord& record) {
  std::size_t room = record.device.size() + record.netns.size() + record.label.size();
  for (const SocketOption& option : record.options) {
    room += static_cast<std::size_t>(4 * NLA_HDRLEN) + 2 * sizeof(std::uint32_t) +
            static_cast<std::size_t>(NLA_ALIGN(option.value.size()));
  }
  for (const Membership& member : record.memberships) {
    // The nest, six attributes of which an address and a name are the longest.
    room += 128 + member.sources.size() * sizeof(in6_addr);
  }
  for (const Interface& interface : record.interfaces) {
    // The nest, index and name.
    room += 32 + interface.name.size();
  }
  Encoder encoder(UDPCR_CMD_SOCKET, room);
  encoder.u64(UDPCR_A_INO, record.inode);
  encoder.u64(UDPCR_A_COOKIE, record.cookie);
  encoder.u16(UDPCR_A_FAMILY, record.family);
  encoder.u16(UDPCR_A_PROTOCOL, record.protocol);
  encoder.u32(UDPCR_A_SOCK_FLAGS, record.flags);
  if (record.local.family != AF_UNSPEC) {
    encoder.address(UDPCR_A_LOCAL_ADDR, UDPCR_A_LOCAL_PORT, record.local);
    if (record.local.scope != 0) encoder.u32(UDPCR_A_LOCAL_SCOPE, record.local.scope);
  }
  if (record.peer) {
    encoder.address(UDPCR_A_PEER_ADDR, UDPCR_A_PEER_PORT, *record.peer);
    if (record.peer->scope != 0) encoder.u32(UDPCR_A_PEER_SCOPE, record.peer->scope);
  }
  if (!record.device.empty()) encoder.string(UDPCR_A_DEVICE, record.device);
  encoder.u32(UDPCR_A_UID, record.uid);
  encoder.u32(UDPCR_A_FILE_FLAGS, record.file_flags);
  encoder.u32(UDPCR_A_DROPS, record.drops);
  encoder.u32(UDPCR_A_RMEM, record.rmem);
  encoder.u32(UDPCR_A_QUEUE_COUNT, record.queue_count);
  for (const SocketOption& option : record.options) encoder.option(option);
  if (record.shutdown != 0) encoder.u8(UDPCR_A_SHUTDOWN, record.shutdown);
  if (record.error != 0) encoder.u32(UDPCR_A_ERROR, record.error);
  if (record.error_count != 0) encoder.u32(UDPCR_A_ERROR_COUNT, record.error_count);
  if (record.cork_length != 0) encoder.u32(UDPCR_A_CORK_LEN, record.cork_length);
  if (record.held_count != 0) encoder.u32(UDPCR_A_HELD_COUNT, record.held_count);
  for (const Membership& member : record.memberships) encoder.membership(member);
  if (record.tskey != 0) encoder.u32(UDPCR_A_TSKEY, record.tskey);
  if (record.cgroup != 0) encoder.u64(UDPCR_A_CGROUP, record.cgroup);
  if (record.reuseport_index) encoder.u32(UDPCR_A_REUSEPORT_INDEX, *record.reuseport_index);
  if (!record.netns.empty()) encoder.string(UDPCR_A_NETNS, record.netns);
  for (const Interface& interface : record.interfaces) encoder.interface(interface);
  encoder.owner(record.owner);
  if (!record.label.empty()) encoder.string(UDPCR_A_LABEL, record.label);
  return encoder.bytes();
}

Bytes encode_datagram(const Datagram& datagram) {
  const std::size_t size = datagram.payload.size();
  if (size > UDPCR_MAX_PAYLOAD) {
    throw Error("cannot encode a datagram of " + std::to_string(size) +
                " bytes: UDP carries at most " + std::to_string(UDPCR_MAX_PAYLOAD) +
                "; split it as its sender would have to");
  }
  Encoder encoder(UDPCR_CMD_DATAGRAM, size + datagram.ip_options.size());
  if (datagram.source) {
    encoder.address(UDPCR_A_SRC_ADDR, UDPCR_A_SRC_PORT, *datagram.source);
    if (datagram.source->scope != 0) encoder.u32(UDPCR_A_SRC_SCOPE, datagram.source->scope);
  }
  if (datagram.destination) {
    encoder.address(UDPCR_A_DST_ADDR, UDPCR_A_DST_PORT, *datagram.destination);
  }
  if (datagram.ifindex) encoder.u32(UDPCR_A_IFINDEX, *datagram.ifindex);
  if (datagram.timestamp) encoder.u64(UDPCR_A_TSTAMP, *datagram.timestamp);
  if (datagram.tos) encoder.u8(UDPCR_A_TOS, *datagram.tos);
  if (datagram.ttl) encoder.u8(UDPCR_A_TTL, *datagram.ttl);
  if (datagram.mark) encoder.u32(UDPCR_A_MARK, *datagram.mark);
  if (datagram.gso_size) encoder.u16(UDPCR_A_GSO_SIZE, *datagram.gso_size);
  if (datagram.specific_destination) {
    encoder.ip(UDPCR_A_SPEC_DST, *datagram.specific_destination);
  }
  if (datagram.error) encoder.report(*datagram.error);
  if (!datagram.ip_options.empty()) encoder.binary(UDPCR_A_IP_OPTIONS, datagram.ip_options);
  if (datagram.next_header) encoder.u8(UDPCR_A_NEXT_HEADER, *datagram.next_header);
  if (datagram.flow_label) encoder.u32(UDPCR_A_FLOW_LABEL, *datagram.flow_label);
  if (datagram.peeked) encoder.binary(UDPCR_A_PEEKED, {});
  if (datagram.priority) encoder.u32(UDPCR_A_PRIORITY, *datagram.priority);
  if (datagram.frag_size) encoder.u16(UDPCR_A_FRAG_SIZE, *datagram.frag_size);
  // Last and without its padding: that keeps a datagram within 128 bytes of its
  // payload's size.
  encoder.binary(UDPCR_A_PAYLOAD, datagram.payload);
  return encoder.bytes(static_cast<std::size_t>(nla_padlen(static_cast<int>(size))));
}

}  // namespace udpcr
