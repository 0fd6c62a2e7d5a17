// SPDX-License-Identifier: LGPL-2.1-or-later
#include "interface_indices.hpp"

#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <map>

#include "options.hpp"
#include "route.hpp"

namespace udpcr {
namespace {

constexpr const char* kRemedy = "create it, or name another with UDPCR_MAP=OLD=NEW";

// Where in an option's value the index stands.
struct IndexPlace {
  int level;
  int name;
  std::size_t offset;
  bool network_order;
};

constexpr IndexPlace kPlaces[] = {
    {SOL_IP, IP_MULTICAST_IF, offsetof(ip_mreqn, imr_ifindex), false},
    {SOL_IP, IP_UNICAST_IF, 0, true},
    {SOL_IPV6, IPV6_MULTICAST_IF, 0, false},
    {SOL_IPV6, IPV6_UNICAST_IF, 0, true},
    {SOL_IPV6, IPV6_PKTINFO, offsetof(in6_pktinfo, ipi6_ifindex), false},
};

// Null: the option has no index, or its value is of the short form without one.
const IndexPlace* place_in(const SocketOption& option) {
  for (const IndexPlace& place : kPlaces) {
    if (place.level == option.level && place.name == option.name &&
        option.value.size() >= place.offset + sizeof(std::uint32_t)) {
      return &place;
    }
  }
  return nullptr;
}

std::uint32_t get(const SocketOption& option, const IndexPlace& place) {
  std::uint32_t index = 0;
  std::memcpy(&index, option.value.data() + place.offset, sizeof index);
  return place.network_order ? ntohl(index) : index;
}

void set(SocketOption& option, const IndexPlace& place, std::uint32_t index) {
  if (place.network_order) index = htonl(index);
  std::memcpy(option.value.data() + place.offset, &index, sizeof index);
}

// Calls `visit(std::uint32_t& index)` for those of a datagram.
template <typename Visit>
void each_index(Datagram& datagram, Visit visit) {
  if (datagram.ifindex) visit(*datagram.ifindex);
  if (datagram.source) visit(datagram.source->scope);
  if (datagram.destination) visit(datagram.destination->scope);
}

// The indices of a queue, without decoding all of it: a checkpoint does this to
// every datagram.
template <typename Visit>
void each_index(const MessageStream& queue, Visit visit) {
  std::size_t place = 0;
  for (ByteView message = queue.next(place); !message.empty(); message = queue.next(place)) {
    std::size_t offset = GENL_HDRLEN;
    nlattr attribute{};
    while (offset + sizeof attribute + sizeof(std::uint32_t) <= message.size()) {
      std::memcpy(&attribute, message.data() + offset, sizeof attribute);
      if (attribute.nla_len < sizeof attribute) break;
      const unsigned type = attribute.nla_type & NLA_TYPE_MASK;
      if (type == UDPCR_A_IFINDEX || type == UDPCR_A_SRC_SCOPE) {
        std::uint32_t index = 0;
        std::memcpy(&index, message.data() + offset + NLA_HDRLEN, sizeof index);
        visit(index);
      }
      offset += NLA_ALIGN(attribute.nla_len);
    }
  }
}

// The way from the record's indices to today's.
class Translation {
 public:
  Translation(const SocketRecord& record, std::vector<Loss>& losses) : losses_(losses) {
    for (const Interface& interface : record.interfaces) {
      const std::uint32_t now = interface_index(interface.name);
      known_[interface.index] = {interface.name, now};
      changes_ = changes_ || now != interface.index;
    }
  }

  [[nodiscard]] bool changes() const { return changes_; }

  // Sets `index`; null, or the name of an interface that is not here.  An index
  // without a name stays.
  const std::string* translate(std::uint32_t& index) const {
    const auto place = known_.find(index);
    if (index == 0 || place == known_.end()) return nullptr;
    if (place->second.now == 0) return &place->second.name;
    index = place->second.now;
    return nullptr;
  }

  void translate(SocketRecord& record) {
    require(record.local);
    if (record.peer) require(*record.peer);
    std::erase_if(record.options, [&](SocketOption& option) {
      const IndexPlace* const place = place_in(option);
      if (place == nullptr) return false;
      std::uint32_t index = get(option, *place);
      const std::string* const missing = translate(index);
      if (missing != nullptr) {
        lose(*missing, std::string(option_name(option.level, option.name)) + " needs");
      }
      set(option, *place, index);
      return missing != nullptr;
    });
    std::erase_if(record.memberships, [&](Membership& membership) {
      const std::string* const missing = translate(membership.ifindex);
      if (missing != nullptr)
        lose(*missing, "the membership of " + host(membership.group) + " needs");
      return missing != nullptr;
    });
    for (Interface& interface : record.interfaces) translate(interface.index);
  }

  MessageStream translate(const MessageStream& queue) {
    MessageStream translated;
    std::map<std::string, std::size_t> missing;  // datagrams by interface
    std::size_t offset = 0;
    for (ByteView message = queue.next(offset); !message.empty(); message = queue.next(offset)) {
      std::vector<std::uint16_t> unknown;
      Datagram datagram = decode_datagram(message, unknown);
      const Datagram before = datagram;
      const std::string* gone = nullptr;
      each_index(datagram, [&](std::uint32_t& index) {
        if (const std::string* const name = translate(index)) {
          gone = name;
          index = 0;
        }
      });
      if (datagram.ifindex == 0U) datagram.ifindex.reset();
      if (gone != nullptr) ++missing[*gone];
      if (datagram == before) {
        translated.append(message);
      } else {
        translated.append(encode_datagram(datagram));
      }
    }
    for (const auto& [name, count] : missing) {
      lose(name, std::to_string(count) + " queued datagrams came by");
    }
    return translated;
  }

 private:
  struct Known {
    std::string name;
    std::uint32_t now = 0;  // 0: not here
  };

  void require(Address& address) {
    if (const std::string* const missing = translate(address.scope)) {
      throw Error("cannot restore the socket with address " + to_string(address) + ": interface " +
                      *missing + " is not here; " + kRemedy,
                  ENODEV);
    }
  }
  void lose(const std::string& name, const std::string& user) {
    losses_.push_back({"interface", user + " interface " + name + ", which is not here", kRemedy});
  }
  static std::string host(const Address& address) {
    const std::string text = to_string(address);
    return text.substr(0, text.rfind(':'));
  }

  std::vector<Loss>& losses_;
  std::map<std::uint32_t, Known> known_;
  bool changes_ = false;
};

}  // namespace

void name_interfaces(int fd, SocketState& state) {
  SocketRecord& record = state.record;
  std::vector<std::uint32_t> indices = {record.local.scope};
  if (record.peer) indices.push_back(record.peer->scope);
  for (const SocketOption& option : record.options) {
    if (const IndexPlace* const place = place_in(option)) indices.push_back(get(option, *place));
  }
  for (const Membership& membership : record.memberships) indices.push_back(membership.ifindex);
  for (const MessageStream* queue : {&state.receive_queue, &state.send_queue, &state.error_queue}) {
    each_index(*queue, [&](std::uint32_t index) {
      if (index != indices.back()) indices.push_back(index);
    });
  }
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  record.interfaces.clear();
  for (const std::uint32_t index : indices) {
    ifreq request{};
    request.ifr_ifindex = static_cast<int>(index);
    // In the socket's own namespace (net/core/dev_ioctl.c, dev_ifname).
    if (index == 0 || ::ioctl(fd, SIOCGIFNAME, &request) != 0) continue;
    record.interfaces.push_back({index, request.ifr_name});
  }
}

std::optional<SocketState> with_indices_of_here(const SocketState& state,
                                                std::vector<Loss>& losses) {
  Translation translation(state.record, losses);
  if (!translation.changes()) return std::nullopt;
  SocketState here;
  here.record = state.record;
  here.losses = state.losses;
  translation.translate(here.record);
  here.receive_queue = translation.translate(state.receive_queue);
  here.send_queue = translation.translate(state.send_queue);
  here.error_queue = translation.translate(state.error_queue);
  return here;
}

}  // namespace udpcr
