// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Records and datagrams from generic netlink messages.
#include <linux/genetlink.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <climits>
#include <udpcr/udpcr.hpp>

#include "attributes.hpp"

namespace udpcr {
namespace {

// Linux knows about a hundred options of a UDP socket.  The bound keeps the
// memory for a hostile record near its own size.
constexpr std::size_t kMaxOptions = 1024;
// More than net.core.optmem_max lets a socket have.
constexpr std::size_t kMaxMemberships = 4096;
constexpr std::size_t kMaxSources = 8192;  // of all of them
constexpr std::size_t kMaxInterfaces = 4096;
constexpr std::size_t kMaxLabel = 4096;
// From 512 on errnos are the kernel's own, which no system call gives.
constexpr std::uint32_t kMaxErrno = 511;

std::uint32_t errno_in(const Attribute& attribute) {
  const auto number = attribute.as<std::uint32_t>();
  if (number > kMaxErrno) {
    broken("error " + std::to_string(number) + " is none that a program can be told");
  }
  return number;
}

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

Membership decode_membership(const Attribute& nest, std::size_t& sources_left, Seen& outer) {
  Membership member;
  std::vector<std::uint16_t> unknown;
  Seen seen(unknown);
  ByteView sources;
  AttributeReader reader(nest.value);
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case UDPCR_MEMBER_GROUP:
        attribute.to_address(member.group);
        break;
      case UDPCR_MEMBER_IFINDEX:
        member.ifindex = attribute.as<std::uint32_t>();
        break;
      case UDPCR_MEMBER_DEVICE:
        member.device = attribute.as_device();
        break;
      case UDPCR_MEMBER_MODE:
        member.mode = attribute.as<std::uint32_t>();
        break;
      case UDPCR_MEMBER_SOURCES:
        sources = attribute.value;
        break;
      case UDPCR_MEMBER_ANYCAST:
        member.anycast = true;
        break;
      default:
        outer.unknown(UDPCR_A_MEMBERSHIP);
        continue;
    }
    seen.once(attribute.type);
  }
  seen.require(UDPCR_MEMBER_GROUP, "a membership's group");
  const std::size_t size = member.group.family == AF_INET ? 4 : 16;
  if (sources.size() % size != 0) {
    broken("the sources of a membership have " + std::to_string(sources.size()) +
           " bytes where each has " + std::to_string(size));
  }
  sources_left -= std::min(sources_left, sources.size() / size);
  if (sources_left == 0) {
    broken("its memberships have " + std::to_string(kMaxSources) + " sources or more");
  }
  member.sources.reserve(sources.size() / size);
  for (; !sources.empty(); sources = sources.subspan(size)) {
    Attribute{UDPCR_MEMBER_SOURCES, sources.first(size)}.to_address(member.sources.emplace_back());
  }
  return member;
}

Interface decode_interface(const Attribute& nest, Seen& outer) {
  Interface interface;
  std::vector<std::uint16_t> unknown;
  Seen seen(unknown);
  AttributeReader reader(nest.value);
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case UDPCR_INTERFACE_INDEX:
        interface.index = attribute.as<std::uint32_t>();
        break;
      case UDPCR_INTERFACE_NAME:
        interface.name = attribute.as_device();
        break;
      default:
        outer.unknown(UDPCR_A_INTERFACE);
        continue;
    }
    seen.once(attribute.type);
  }
  seen.require(UDPCR_INTERFACE_INDEX, "an interface's index");
  seen.require(UDPCR_INTERFACE_NAME, "an interface's name");
  return interface;
}

// A name in a folder: what leads elsewhere is refused.
std::string decode_netns(const Attribute& attribute) {
  std::string name = attribute.as_string(NAME_MAX);
  if (name == "." || name == ".." || name.find('/') != std::string::npos) {
    broken("the network namespace " + name + " is no name in /run/netns");
  }
  return name;
}

ErrorReport decode_report(const Attribute& nest, Seen& outer) {
  ErrorReport error;
  std::vector<std::uint16_t> unknown;
  Seen seen(unknown);
  AttributeReader reader(nest.value);
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case UDPCR_ERRMSG_ERRNO:
        error.error_number = errno_in(attribute);
        break;
      case UDPCR_ERRMSG_ORIGIN:
        error.origin = attribute.as<std::uint8_t>();
        break;
      case UDPCR_ERRMSG_TYPE:
        error.type = attribute.as<std::uint8_t>();
        break;
      case UDPCR_ERRMSG_CODE:
        error.code = attribute.as<std::uint8_t>();
        break;
      case UDPCR_ERRMSG_INFO:
        error.info = attribute.as<std::uint32_t>();
        break;
      case UDPCR_ERRMSG_DATA:
        error.data = attribute.as<std::uint32_t>();
        break;
      case UDPCR_ERRMSG_OFFENDER:
        attribute.to_address(error.offender.emplace());
        break;
      default:
        outer.unknown(UDPCR_A_ERRMSG);
        continue;
    }
    seen.once(attribute.type);
  }
  return error;
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
    case UDPCR_A_SHUTDOWN:
      record.shutdown = attribute.as<std::uint8_t>();
      return true;
    case UDPCR_A_ERROR:
      record.error = errno_in(attribute);
      return true;
    case UDPCR_A_ERROR_COUNT:
      record.error_count = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_CORK_LEN:
      record.cork_length = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_HELD_COUNT:
      record.held_count = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_TSKEY:
      record.tskey = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_CGROUP:
      record.cgroup = attribute.as<std::uint64_t>();
      return true;
    case UDPCR_A_REUSEPORT_INDEX:
      record.reuseport_index = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_NETNS:
      record.netns = decode_netns(attribute);
      return true;
    case UDPCR_A_OWN_TYPE:
      record.owner.type = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_OWN_PID:
      record.owner.pid = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_OWN_SIGNAL:
      record.owner.signal = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_LABEL:
      record.label = attribute.as_string(kMaxLabel);
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
    case UDPCR_A_SPEC_DST:
      attribute.to_address(datagram.specific_destination.emplace());
      return true;
    case UDPCR_A_IP_OPTIONS:
      if (attribute.value.size() > UDPCR_MAX_IP_OPTIONS) {
        broken("IP options of " + std::to_string(attribute.value.size()) + " bytes are more than " +
               std::to_string(UDPCR_MAX_IP_OPTIONS));
      }
      datagram.ip_options.assign(attribute.value.begin(), attribute.value.end());
      return true;
    case UDPCR_A_NEXT_HEADER:
      datagram.next_header = attribute.as<std::uint8_t>();
      return true;
    case UDPCR_A_FLOW_LABEL:
      datagram.flow_label = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_PEEKED:
      datagram.peeked = true;
      return true;
    case UDPCR_A_PRIORITY:
      datagram.priority = attribute.as<std::uint32_t>();
      return true;
    case UDPCR_A_FRAG_SIZE:
      datagram.frag_size = attribute.as<std::uint16_t>();
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
  std::size_t sources_left = kMaxSources;
  Seen seen(unknown);
  for (Attribute attribute; reader.next(attribute);) {
    if (attribute.type == UDPCR_A_OPTION) {
      if (record.options.size() == kMaxOptions) {
        broken("it has more than " + std::to_string(kMaxOptions) + " socket options");
      }
      record.options.push_back(decode_option(attribute, seen));
    } else if (attribute.type == UDPCR_A_INTERFACE) {
      if (record.interfaces.size() == kMaxInterfaces) {
        broken("it has more than " + std::to_string(kMaxInterfaces) + " interfaces");
      }
      record.interfaces.push_back(decode_interface(attribute, seen));
    } else if (attribute.type == UDPCR_A_MEMBERSHIP) {
      if (record.memberships.size() == kMaxMemberships) {
        broken("it has more than " + std::to_string(kMaxMemberships) + " memberships");
      }
      record.memberships.push_back(decode_membership(attribute, sources_left, seen));
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
  if (seen.has(UDPCR_A_OWN_TYPE) != (record.owner.pid != 0)) {
    broken("of the type and the pid of who is sent SIGIO only one is there");
  }
  return record;
}

Datagram decode_datagram(ByteView message, std::vector<std::uint16_t>& unknown) {
  AttributeReader reader = open_message(message, UDPCR_CMD_DATAGRAM);
  Datagram datagram;
  Address source;
  Address destination;
  Seen seen(unknown);
  for (Attribute attribute; reader.next(attribute);) {
    if (attribute.type == UDPCR_A_ERRMSG) {
      seen.once(attribute.type);
      datagram.error = decode_report(attribute, seen);
    } else if (datagram_attribute(datagram, source, destination, attribute)) {
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
