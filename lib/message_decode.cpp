// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Records and datagrams from generic netlink messages, which may come from a
// hostile image: every length is checked, nothing is taken on trust.
//
// The attributes are walked here, not by nla_for_each_attr(): a stored message
// may stand at an odd address, and libnl passes over what trails the last
// attribute.
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <bitset>
#include <cstring>
#include <udpcr/udpcr.hpp>

namespace udpcr {
namespace {

// Linux knows about a hundred options of a UDP socket.  The bound keeps the
// memory for a hostile record near its own size.
constexpr std::size_t kMaxOptions = 1024;

// Without the two flag bits; NLA_TYPE_MASK as the unsigned number that it means.
constexpr std::uint16_t kTypeMask = static_cast<std::uint16_t>(NLA_TYPE_MASK);

[[noreturn]] void broken(const std::string& what) {
  throw Error("broken message: " + what + "; take a new checkpoint");
}

struct Attribute {
  std::uint16_t type = 0;
  ByteView value;

  // For T of a fixed length.
  template <typename T>
  [[nodiscard]] T as() const {
    if (value.size() != sizeof(T)) {
      broken("attribute " + std::to_string(type) + " has " + std::to_string(value.size()) +
             " bytes where " + std::to_string(sizeof(T)) + " are right");
    }
    T result{};
    std::memcpy(&result, value.data(), sizeof(T));
    return result;
  }

  [[nodiscard]] std::uint16_t as_port() const { return ntohs(as<std::uint16_t>()); }

  void to_address(Address& address) const {
    if (value.size() != 4 && value.size() != 16) {
      broken("attribute " + std::to_string(type) + " has " + std::to_string(value.size()) +
             " bytes where an address has 4 or 16");
    }
    address.family = value.size() == 4 ? AF_INET : AF_INET6;
    std::copy(value.begin(), value.end(), address.bytes);
  }

  [[nodiscard]] std::string as_device() const {
    const auto end = std::find(value.begin(), value.end(), 0);
    if (value.empty() || value.size() > IFNAMSIZ || end != value.end() - 1) {
      broken("attribute " + std::to_string(type) + " of " + std::to_string(value.size()) +
             " bytes is no interface name of at most 15 characters and a NUL");
    }
    return {value.begin(), end};
  }
};

// The attributes of a message or of a nest, in order.
class AttributeReader {
 public:
  explicit AttributeReader(ByteView bytes) : left_(bytes) {}

  bool next(Attribute& attribute) {
    if (left_.empty()) return false;
    nlattr header{};
    if (left_.size() < sizeof header) {
      broken(std::to_string(left_.size()) + " bytes stand where an attribute's header of " +
             std::to_string(sizeof header) + " has to be");
    }
    std::memcpy(&header, left_.data(), sizeof header);
    attribute.type = header.nla_type & kTypeMask;
    if (header.nla_len < sizeof header || header.nla_len > left_.size()) {
      broken("attribute " + std::to_string(attribute.type) + " claims a length of " +
             std::to_string(header.nla_len) + " bytes, header included, but " +
             std::to_string(left_.size()) + " are left");
    }
    attribute.value = left_.subspan(sizeof header, header.nla_len - sizeof header);
    const std::size_t aligned = NLA_ALIGN(static_cast<std::size_t>(header.nla_len));
    left_ = left_.subspan(std::min(aligned, left_.size()));
    return true;
  }

 private:
  ByteView left_;
};

// Which attributes a message has shown so far.
class Seen {
 public:
  explicit Seen(std::vector<std::uint16_t>& unknown) : unknown_(unknown) {}

  void once(std::uint16_t type) {
    if (types_.test(type)) broken("attribute " + std::to_string(type) + " stands there twice");
    types_.set(type);
  }
  // Names each number once.
  void unknown(std::uint16_t type) {
    if (!types_.test(type)) unknown_.push_back(type);
    types_.set(type);
  }
  [[nodiscard]] bool has(std::uint16_t type) const { return types_.test(type); }
  void require(std::uint16_t type, const char* what) const {
    if (!has(type)) {
      broken(std::string(what) + " (attribute " + std::to_string(type) + ") is missing");
    }
  }
  // An address and its port come together; a scope needs them.
  void require_together(std::uint16_t address, std::uint16_t port, std::uint16_t scope) const {
    if (has(address) != has(port) || (has(scope) && !has(address))) {
      broken("of address, port and scope (attributes " + std::to_string(address) + ", " +
             std::to_string(port) + ", " + std::to_string(scope) + ") only a part is there");
    }
  }

 private:
  std::bitset<kTypeMask + 1> types_;
  std::vector<std::uint16_t>& unknown_;
};

AttributeReader open_message(ByteView message, std::uint8_t command) {
  genlmsghdr header{};
  if (message.size() < sizeof header) {
    broken("it has " + std::to_string(message.size()) + " bytes, less than its header of " +
           std::to_string(sizeof header));
  }
  std::memcpy(&header, message.data(), sizeof header);
  if (header.cmd != command) {
    broken("it is of command " + std::to_string(header.cmd) + " where " + std::to_string(command) +
           " is right");
  }
  if (header.version != UDPCR_GENL_VERSION) {
    broken("it is of version " + std::to_string(header.version) + ", and this udpcr knows " +
           std::to_string(UDPCR_GENL_VERSION));
  }
  return AttributeReader(message.subspan(GENL_HDRLEN));
}

// An attribute inside that is not known is named by its nest's number.
SocketOption decode_option(const Attribute& nest, Seen& outer) {
  SocketOption option;
  std::vector<std::uint16_t> unknown;
  Seen seen(unknown);
  AttributeReader reader(nest.value);
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case UDPCR_OPT_LEVEL:
        seen.once(attribute.type);
        option.level = attribute.as<std::int32_t>();
        break;
      case UDPCR_OPT_NAME:
        seen.once(attribute.type);
        option.name = attribute.as<std::int32_t>();
        break;
      case UDPCR_OPT_VALUE:
        seen.once(attribute.type);
        option.value.assign(attribute.value.begin(), attribute.value.end());
        break;
      default:
        outer.unknown(UDPCR_A_OPTION);
    }
  }
  seen.require(UDPCR_OPT_LEVEL, "an option's level");
  seen.require(UDPCR_OPT_NAME, "an option's name");
  seen.require(UDPCR_OPT_VALUE, "an option's value");
  return option;
}

// False when `attribute` is none of a record's.
bool record_attribute(SocketRecord& record, Address& peer, const Attribute& attribute) {
  switch (attribute.type) {
    case UDPCR_A_INO:
      record.inode = attribute.as<std::uint64_t>();
      return true;
    case UDPCR_A_COOKIE:
      record.cookie = attribute.as<std::uint64_t>();
      return true;
    case UDPCR_A_FAMILY:
      record.family = attribute.as<std::uint16_t>();
      return true;
    case UDPCR_A_PROTOCOL:
      record.protocol = attribute.as<std::uint16_t>();
      return true;
    case UDPCR_A_SOCK_FLAGS:
      record.flags = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_LOCAL_ADDR:
      attribute.to_address(record.local);
      return true;
    case UDPCR_A_LOCAL_PORT:
      record.local.port = attribute.as_port();
      return true;
    case UDPCR_A_LOCAL_SCOPE:
      record.local.scope = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_PEER_ADDR:
      attribute.to_address(peer);
      return true;
    case UDPCR_A_PEER_PORT:
      peer.port = attribute.as_port();
      return true;
    case UDPCR_A_PEER_SCOPE:
      peer.scope = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_DEVICE:
      record.device = attribute.as_device();
      return true;
    case UDPCR_A_UID:
      record.uid = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_FILE_FLAGS:
      record.file_flags = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_DROPS:
      record.drops = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_RMEM:
      record.rmem = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_QUEUE_COUNT:
      record.queue_count = attribute.as<std::uint32_t>();
      return true;
    default:
      return false;
  }
}

// False when `attribute` is none of a datagram's.
bool datagram_attribute(Datagram& datagram, Address& source, Address& destination,
                        const Attribute& attribute) {
  switch (attribute.type) {
    case UDPCR_A_SRC_ADDR:
      attribute.to_address(source);
      return true;
    case UDPCR_A_SRC_PORT:
      source.port = attribute.as_port();
      return true;
    case UDPCR_A_SRC_SCOPE:
      source.scope = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_DST_ADDR:
      attribute.to_address(destination);
      return true;
    case UDPCR_A_DST_PORT:
      destination.port = attribute.as_port();
      return true;
    case UDPCR_A_IFINDEX:
      datagram.ifindex = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_TSTAMP:
      datagram.timestamp = attribute.as<std::uint64_t>();
      return true;
    case UDPCR_A_TOS:
      datagram.tos = attribute.as<std::uint8_t>();
      return true;
    case UDPCR_A_TTL:
      datagram.ttl = attribute.as<std::uint8_t>();
      return true;
    case UDPCR_A_MARK:
      datagram.mark = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_GSO_SIZE:
      datagram.gso_size = attribute.as<std::uint16_t>();
      return true;
    case UDPCR_A_PAYLOAD:
      // An attribute can hold four bytes more than UDP can carry.
      if (attribute.value.size() > UDPCR_MAX_PAYLOAD) {
        broken("a payload of " + std::to_string(attribute.value.size()) +
               " bytes is more than the " + std::to_string(UDPCR_MAX_PAYLOAD) +
               " that UDP can carry");
      }
      datagram.payload.assign(attribute.value.begin(), attribute.value.end());
      return true;
    default:
      return false;
  }
}

}  // namespace

SocketRecord decode_record(ByteView message, std::vector<std::uint16_t>& unknown) {
  AttributeReader reader = open_message(message, UDPCR_CMD_SOCKET);
  SocketRecord record;
  Address peer;
  Seen seen(unknown);
  for (Attribute attribute; reader.next(attribute);) {
    if (attribute.type == UDPCR_A_OPTION) {
      if (record.options.size() == kMaxOptions) {
        broken("it has more than " + std::to_string(kMaxOptions) + " socket options");
      }
      record.options.push_back(decode_option(attribute, seen));
    } else if (record_attribute(record, peer, attribute)) {
      seen.once(attribute.type);
    } else if (attribute.type != UDPCR_A_PAD) {
      seen.unknown(attribute.type);
    }
  }
  seen.require(UDPCR_A_INO, "the socket's inode");
  seen.require(UDPCR_A_FAMILY, "the socket's family");
  if (record.family != AF_INET && record.family != AF_INET6) {
    broken("a socket of family " + std::to_string(record.family) + " is neither IPv4 nor IPv6");
  }
  if (record.protocol != IPPROTO_UDP && record.protocol != IPPROTO_UDPLITE) {
    broken("a socket of protocol " + std::to_string(record.protocol) +
           " is neither UDP nor UDP-Lite");
  }
  seen.require_together(UDPCR_A_LOCAL_ADDR, UDPCR_A_LOCAL_PORT, UDPCR_A_LOCAL_SCOPE);
  seen.require_together(UDPCR_A_PEER_ADDR, UDPCR_A_PEER_PORT, UDPCR_A_PEER_SCOPE);
  if (seen.has(UDPCR_A_PEER_ADDR)) record.peer = peer;
  return record;
}

Datagram decode_datagram(ByteView message, std::vector<std::uint16_t>& unknown) {
  AttributeReader reader = open_message(message, UDPCR_CMD_DATAGRAM);
  Datagram datagram;
  Address source;
  Address destination;
  Seen seen(unknown);
  for (Attribute attribute; reader.next(attribute);) {
    if (datagram_attribute(datagram, source, destination, attribute)) {
      seen.once(attribute.type);
    } else if (attribute.type != UDPCR_A_PAD) {
      seen.unknown(attribute.type);
    }
  }
  seen.require(UDPCR_A_PAYLOAD, "the payload");
  seen.require_together(UDPCR_A_SRC_ADDR, UDPCR_A_SRC_PORT, UDPCR_A_SRC_SCOPE);
  seen.require_together(UDPCR_A_DST_ADDR, UDPCR_A_DST_PORT, UDPCR_A_DST_PORT);
  if (seen.has(UDPCR_A_SRC_ADDR)) datagram.source = source;
  if (seen.has(UDPCR_A_DST_ADDR)) datagram.destination = destination;
  return datagram;
}

}  // namespace udpcr
