// SPDX-License-Identifier: LGPL-2.1-or-later
#include "module_requests.hpp"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "attributes.hpp"
#include "keeper/park/key.hpp"

namespace udpcr::keeper::monitor {

namespace {

// Those that a request here may have, once each: of more than one the kernel goes by the
// last.
struct Named {
  std::optional<std::uint64_t> inode;
  std::optional<std::uint32_t> fd;
  bool has_list = false;
  bool has_key = false;
  bool everywhere = false;
  std::uint64_t image = 0;
  bool twice = false;

  explicit Named(ByteView attributes) {
    AttributeReader reader(attributes);
    for (Attribute attribute; reader.next(attribute);) {
      switch (attribute.type) {
        case UDPCR_A_INO:
          twice = twice || inode;
          inode = attribute.as<std::uint64_t>();
          break;
        case UDPCR_A_FD:
          twice = twice || fd;
          fd = attribute.as<std::uint32_t>();
          break;
        case UDPCR_A_KEY:
          twice = twice || has_key;
          has_key = true;
          if (const auto key = ParkKey::from(attribute.value)) image = key->image;
          break;
        case UDPCR_A_HANDLE:
          has_list = true;
          break;
        case UDPCR_A_ALL_NETNS:
          everywhere = true;
          break;
        default:
          break;
      }
    }
  }
};

}  // namespace

bool ModuleRequests::may_pass_one(unsigned command, bool dump, ByteView attributes, int number,
                                  std::uint64_t inode) {
  const Named named(attributes);
  if (named.twice) return false;
  const bool of_shown = number >= 0 && named.fd == std::uint32_t(number) && named.inode == inode;
  switch (command) {
    case UDPCR_CMD_SOCKET:
      return !dump && of_shown;  // a dump is of all sockets
    case UDPCR_CMD_QUEUE:
      return of_shown || (named.has_list && !named.inode && !named.fd);
    case UDPCR_CMD_TAKE:
    case UDPCR_CMD_STAGE:
    case UDPCR_CMD_SET:
      return of_shown;
    case UDPCR_CMD_DATAGRAM:
    case UDPCR_CMD_PUT:
    case UDPCR_CMD_DROP:
      return named.has_list;
    case UDPCR_CMD_PARK:
      if (!of_shown || image_ == 0 || named.image != image_) return false;
      parked_.insert(inode);
      return true;
    case UDPCR_CMD_UNPARK:
      return named.inode && parked_.count(*named.inode) != 0;
    case UDPCR_CMD_PARKED:
      return !named.everywhere;
    default:
      return false;  // OPEN and CLAIM would give the fd to us
  }
}

bool ModuleRequests::may_pass(ByteView packet, int number, std::uint64_t inode) {
  while (!packet.empty()) {
    nlmsghdr header{};
    if (packet.size() < sizeof header) return false;
    std::memcpy(&header, packet.data(), sizeof header);
    constexpr std::size_t kHeads = NLMSG_HDRLEN + GENL_HDRLEN;
    if (family_ == 0 || header.nlmsg_type != family_ || header.nlmsg_len < kHeads ||
        header.nlmsg_len > packet.size()) {
      return false;
    }
    const ByteView message = packet.first(header.nlmsg_len);
    const bool dump = (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    if (!may_pass_one(message[NLMSG_HDRLEN], dump, message.subspan(kHeads), number, inode)) {
      return false;
    }
    packet = packet.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), packet.size()));
  }
  return true;
}

}  // namespace udpcr::keeper::monitor
