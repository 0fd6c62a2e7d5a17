// SPDX-License-Identifier: LGPL-2.1-or-later
#include <linux/filter.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <span>
#include <utility>

#include "control_message.hpp"
#include "errors.hpp"
#include "kernel_numbers.hpp"
#include "options.hpp"
#include "persist.hpp"
#include "rights.hpp"
#include "userspace_engine.hpp"
#include "userspace_segments.hpp"
#include "userspace_senders.hpp"

namespace udpcr {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{1} << 20U;
// IPv6 header, fragment header and the 8 bytes that a fragment has at least.
constexpr std::uint16_t kLeastFragment = 56;

bool is_link_local(const Address& address) noexcept {
  return address.family == AF_INET6 && address.bytes[0] == 0xfe &&
         (address.bytes[1] & 0xc0U) == 0x80;
}

unsigned mtu_of(unsigned interface) {
  const unsigned mtu = interface_mtu(interface);
  return mtu != 0 ? mtu : 1280;
}

void admit(int fd, std::span<sock_filter> code) {
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    fail("attach a filter to the socket that is being restored", errno,
         "raise net.core.optmem_max");
  }
}

class RawSender final : public Sender {
 public:
  explicit RawSender(const SendTarget& target) : Sender(target) {
    std::uint16_t random[2] = {};
    if (persist([&] { return ::getrandom(random, sizeof random, 0); }) != sizeof random) {
      fail("get random numbers", errno, "");
    }
    mark_.ipv4_id = static_cast<std::uint16_t>(random[0] | 1U);
    mark_.flow_label = 0x10000U | random[1];
  }

  // Not with a filter that still knows the last datagram.
  [[nodiscard]] bool reusable() const noexcept override {
    return joined_.empty() && target_.known_by == KnownBy::header;
  }

  [[nodiscard]] bool has_room_for(const Datagram& datagram) const override {
    if (packets_.empty() && !whole_) return true;
    return !whole_ && !next_ && target_.known_by != KnownBy::itself && packets_.size() < kMost &&
           bytes_ < kBatchBytes && family_ == family_of(datagram);
  }

  bool takes_segments(const Datagram& datagram) override;

  Kept add(const Datagram& datagram, ByteView payload) override;
  [[nodiscard]] bool fragmented() const noexcept override { return fragmented_; }
  int flush() override;
  void admit_only_mine(int fd) const override;

 private:
  struct Packet {
    Bytes bytes;
    sockaddr_storage name{};
    socklen_t name_size = 0;
    unsigned interface = 0;  // to leave by; 0: as routed
    std::uint32_t mark = 0;
    std::uint32_t priority = 0;
  };
  void say(const Packet& packet, ControlMessages& control) const;

  [[nodiscard]] int family_of(const Datagram& datagram) const noexcept {
    if (datagram.source) return datagram.source->family;
    return datagram.destination ? datagram.destination->family : target_.family;
  }
  unsigned choose_way(const Datagram& datagram, PacketPlan& plan, Kept& kept);
  void join(const Address& group, unsigned interface);
  int socket_for(int family);
  unsigned mtu(unsigned interface);

  PacketMark mark_;
  Routes routes_;
  UniqueFd ipv4_;
  UniqueFd ipv6_;
  int family_ = AF_UNSPEC;  // of the packets collected
  std::vector<Packet> packets_;
  std::size_t bytes_ = 0;
  bool fragmented_ = false;
  // Waits to be sent in segments, by this socket.
  UniqueFd next_;  // for the datagram that add() takes next
  std::optional<std::pair<Datagram, UniqueFd>> whole_;
  std::uint16_t last_port_ = 0;  // of the sender of the datagram added last
  std::size_t last_size_ = 0;    // of its payload
  std::map<unsigned, unsigned> mtus_;
  std::set<std::pair<std::string, unsigned>> joined_;
};

int RawSender::socket_for(int family) {
  UniqueFd& fd = family == AF_INET ? ipv4_ : ipv6_;
  if (!fd) {
    fd = UniqueFd(rights().raw_socket(family));
    if (!fd) fail("open a raw socket", errno, "run with CAP_NET_RAW");
    write_number(fd.get(), SOL_SOCKET, SO_BROADCAST, 1);
    // All of a batch may wait in a busy machine's backlog.
    write_number(fd.get(), SOL_SOCKET, SO_SNDBUF, static_cast<int>(2 * kBatchBytes));
  }
  return fd.get();
}

unsigned RawSender::mtu(unsigned interface) {
  const auto known = mtus_.find(interface);
  if (known != mtus_.end()) return known->second;
  return mtus_[interface] = mtu_of(interface);
}

void RawSender::join(const Address& group, unsigned interface) {
  if (!joined_.emplace(to_string(group), interface).second) return;
  group_req request{};
  request.gr_interface = interface;
  socklen_t size = 0;
  const sockaddr_storage name = group.to_sockaddr(size);
  std::memcpy(&request.gr_group, &name, sizeof name);
  // Where it fails the datagram does not arrive, and is counted.
  ::setsockopt(socket_for(group.family), group.family == AF_INET ? SOL_IP : SOL_IPV6,
               MCAST_JOIN_GROUP, &request, sizeof request);
}

// Returns the interface to leave by.  Whatever the destination, nothing leaves
// the machine: an IPv4 packet that is routed out by the loopback interface is
// delivered here (net/ipv4/route.c, __mkroute_output: RTCF_LOCAL), and a
// multicast with TTL 0 is looped back and not sent (ip_mc_output,
// ip6_finish_output2).
unsigned RawSender::choose_way(const Datagram& datagram, PacketPlan& plan, Kept& kept) {
  const unsigned arrival = datagram.ifindex.value_or(0);
  switch (routes_.reach(plan.destination)) {
    case Reach::local:
      return 0;
    case Reach::multicast: {
      const bool usable =
          arrival != 0 && interface_is_up(arrival) && !interface_is_loopback(arrival);
      if (usable && (plan.source.family == AF_INET6 || target_.interface_matters)) {
        Address group = plan.destination;
        group.port = 0;
        join(group, arrival);
        kept.ttl = plan.ttl == 0;
        plan.ttl = 0;
        return arrival;
      }
      kept.interface = arrival == kLoopback;
      if (plan.source.family == AF_INET6) break;
      Address group = plan.destination;
      group.port = 0;
      join(group, kLoopback);
      return kLoopback;
    }
    case Reach::broadcast:
    case Reach::elsewhere:
      kept.interface = arrival == kLoopback;
      if (plan.source.family == AF_INET) return kLoopback;
      break;
  }
  // IPv6 has no way for such a destination.
  const std::uint16_t port = plan.destination.port;
  plan.destination = loopback_address(plan.source.family);
  plan.destination.port = port;
  kept.destination = kept.interface = false;
  if (is_link_local(plan.source)) kept.source = false;  // its scope is lost
  return 0;
}

bool RawSender::takes_segments(const Datagram& datagram) {
  // The socket writes the IP header: nothing in it can be ours.
  const bool possible =
      target_.known_by != KnownBy::header && target_.protocol == IPPROTO_UDP && datagram.source &&
      datagram.source->port != 0 && !datagram.source->is_wildcard() && datagram.destination &&
      datagram.destination->family == datagram.source->family && datagram.ip_options.empty() &&
      datagram.ttl.value_or(64) != 0 && routes_.reach(*datagram.destination) == Reach::local;
  if (!possible) return false;
  next_ = open_segment_socket(datagram);
  return static_cast<bool>(next_);
}

Kept RawSender::add(const Datagram& datagram, ByteView payload) {
  Kept kept;
  family_ = family_of(datagram);
  if (next_) {
    last_port_ = datagram.source->port;
    last_size_ = payload.size();
    fragmented_ = false;
    whole_.emplace(datagram, std::move(next_));
    return kept;
  }
  PacketPlan plan;
  plan.protocol = static_cast<std::uint8_t>(target_.protocol);
  plan.mark = mark_;
  if (target_.known_by != KnownBy::header) {
    plan.mark.flow_label = datagram.flow_label.value_or(0);
  }
  plan.tos = datagram.tos.value_or(0);
  plan.ttl = datagram.ttl.value_or(64);
  plan.source = datagram.source.value_or(loopback_address(family_));
  plan.destination = datagram.destination && datagram.destination->family == family_
                         ? *datagram.destination
                         : loopback_address(family_);
  kept.destination = plan.destination.family == family_ && datagram.destination.has_value();
  // The kernel puts an address of its own for the source 0.0.0.0.
  kept.source = datagram.source && !(family_ == AF_INET && plan.source.is_wildcard());
  plan.destination.port = target_.port;
  Packet packet;
  packet.interface = choose_way(datagram, plan, kept);
  plan.mtu = mtu(packet.interface == 0 ? kLoopback : packet.interface);
  if (target_.fragment_matters && datagram.frag_size) {
    kept.fragment = *datagram.frag_size >= kLeastFragment && *datagram.frag_size <= plan.mtu;
    if (kept.fragment) plan.mtu = *datagram.frag_size;
  }
  plan.options = datagram.ip_options;
  plan.next_header = datagram.next_header.value_or(0);
  // Both travel over loopback with the packet.
  packet.mark = datagram.mark.value_or(0);
  packet.priority = datagram.priority.value_or(0);
  kept.options = fit_options(plan, payload.size());
  Address name = plan.destination;
  name.port = 0;  // raw sockets take a protocol number there (net/ipv6/raw.c)
  packet.name = name.to_sockaddr(packet.name_size);
  std::vector<Bytes> parts = make_packets(plan, payload);
  fragmented_ = parts.size() > 1;
  last_port_ = plan.source.port;
  last_size_ = payload.size();
  for (Bytes& part : parts) {
    bytes_ += part.size();
    packet.bytes = std::move(part);
    packets_.push_back(packet);
  }
  return kept;
}

void RawSender::say(const Packet& packet, ControlMessages& control) const {
  if (packet.interface != 0 && family_ == AF_INET) {
    in_pktinfo info{};
    info.ipi_ifindex = static_cast<int>(packet.interface);
    control.add(SOL_IP, IP_PKTINFO, info);
  } else if (packet.interface != 0) {
    in6_pktinfo info{};
    info.ipi6_ifindex = packet.interface;
    control.add(SOL_IPV6, IPV6_PKTINFO, info);
  }
  if (packet.mark != 0) control.add(SOL_SOCKET, SO_MARK, packet.mark);
  if (packet.priority != 0) control.add(SOL_SOCKET, SO_PRIORITY, packet.priority);
}

int RawSender::flush() {
  if (whole_) {
    const auto [datagram, fd] = *std::exchange(whole_, std::nullopt);
    return send_segments(fd.get(), datagram, target_.port);
  }
  if (packets_.empty()) return 0;
  const int fd = socket_for(family_);
  const std::size_t count = packets_.size();
  std::vector<mmsghdr> messages(count);
  std::vector<iovec> vectors(count);
  std::vector<ControlMessages> controls(count);
  for (std::size_t i = 0; i < count; ++i) {
    Packet& packet = packets_[i];
    vectors[i] = {packet.bytes.data(), packet.bytes.size()};
    msghdr& header = messages[i].msg_hdr;
    header.msg_name = &packet.name;
    header.msg_namelen = packet.name_size;
    header.msg_iov = &vectors[i];
    header.msg_iovlen = 1;
    say(packet, controls[i]);
    controls[i].attach(header);
  }
  int first_error = 0;
  for (std::size_t sent = 0; sent < count;) {
    const int got =
        rights().send_raw(fd, target_.fd, &messages[sent], static_cast<unsigned>(count - sent));
    if (got > 0) {
      sent += static_cast<std::size_t>(got);
    } else if (errno != EINTR) {
      if (first_error == 0) first_error = errno;
      ++sent;
    }
  }
  packets_.clear();
  bytes_ = 0;
  return first_error;
}

void RawSender::admit_only_mine(int fd) const {
  constexpr std::uint32_t kIpHeader = static_cast<std::uint32_t>(SKF_NET_OFF);
  constexpr sock_filter kAdmit = BPF_STMT(BPF_RET | BPF_K, 0xffffffffU);
  constexpr sock_filter kDrop = BPF_STMT(BPF_RET | BPF_K, 0);
  switch (target_.known_by) {
    case KnownBy::header: {
      sock_filter code[] = {
          BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kIpHeader),
          BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 2),
          BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kIpHeader + 4),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mark_.ipv4_id, 3, 4),
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kIpHeader),
          BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfffffU),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mark_.flow_label, 0, 1),
          kAdmit,
          kDrop,
      };
      return admit(fd, code);
    }
    case KnownBy::itself: {
      // The data begin with the UDP header.  UDP-Lite has no length there.
      const auto size = static_cast<std::uint32_t>(last_size_ + 8);
      sock_filter code[] = {
          BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, size, 0, 3),
          BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, last_port_, 0, 1),
          kAdmit,
          kDrop,
      };
      return admit(fd, code);
    }
  }
}

}  // namespace

std::unique_ptr<Sender> make_raw_sender(const SendTarget& target) {
  return std::make_unique<RawSender>(target);
}

Sender& Senders::acquire(const SendTarget& target, int fd) {
  const auto now = std::chrono::steady_clock::now();
  std::uint64_t netns = 0;
  socklen_t size = sizeof netns;
  const bool told = ::getsockopt(fd, SOL_SOCKET, kSoNetnsCookie, &netns, &size) == 0;
  if (!sender_ || !told || netns != netns_ || now - made_ > std::chrono::seconds(1)) {
    raw_ = may_send_raw();
    sender_ = raw_ ? make_raw_sender(target) : make_plain_sender(target);
    made_ = now;
    netns_ = netns;
  }
  sender_->aim(target);
  return *sender_;
}

void Senders::release() noexcept {
  if (sender_ && !sender_->reusable()) sender_.reset();
}

Address loopback_address(int family) noexcept {
  Address address;
  address.family = static_cast<std::uint16_t>(family);
  if (family == AF_INET) {
    address.bytes[0] = 127;
    address.bytes[3] = 1;
  } else {
    address.bytes[15] = 1;
  }
  return address;
}

}  // namespace udpcr
