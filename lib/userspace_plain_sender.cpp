// SPDX-License-Identifier: LGPL-2.1-or-later
#include <linux/filter.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "errors.hpp"
#include "kernel_numbers.hpp"
#include "options.hpp"
#include "rights.hpp"
#include "userspace_senders.hpp"

namespace udpcr {
namespace {

// Sockets kept open, one a source.
constexpr std::size_t kMostSources = 256;

class PlainSender final : public Sender {
 public:
  explicit PlainSender(const SendTarget& target) : Sender(target) {}

  [[nodiscard]] bool has_room_for(const Datagram&) const override { return sent_ < kMost; }
  // Sends at once: each source has a socket of its own.
  Kept add(const Datagram& datagram, ByteView payload) override;
  [[nodiscard]] bool fragmented() const noexcept override { return false; }
  int flush() override {
    sent_ = 0;
    return std::exchange(first_error_, 0);
  }
  void admit_only_mine(int fd) const override;

 private:
  UniqueFd open_sender(const Address* source);
  int sender_for(const Address& source, bool& kept);

  Routes routes_;
  std::vector<std::pair<Address, UniqueFd>> sources_;  // the fd is -1 where bind failed
  UniqueFd anonymous_[2];                              // IPv4, IPv6
  unsigned sent_ = 0;
  int first_error_ = 0;
};

UniqueFd PlainSender::open_sender(const Address* source) {
  const int family = source->family;
  UniqueFd fd(rights().socket(family, SOCK_DGRAM, target_.protocol));
  if (!fd) fail("create a socket to put datagrams back from", errno, "raise RLIMIT_NOFILE");
  if (source->port == 0) return fd;
  if (family == AF_INET6) write_number(fd.get(), SOL_IPV6, kIpv6Freebind, 1);
  socklen_t size = 0;
  const sockaddr_storage name = source->to_sockaddr(size);
  if (rights().bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) fd.reset();
  return fd;
}

int PlainSender::sender_for(const Address& source, bool& kept) {
  UniqueFd* found = nullptr;
  for (auto& [known, fd] : sources_) {
    if (known == source) found = &fd;
  }
  if (found == nullptr) {
    if (sources_.size() == kMostSources) sources_.erase(sources_.begin());
    const bool bindable = source.port != 0 && !source.is_wildcard();
    sources_.emplace_back(source, bindable ? open_sender(&source) : UniqueFd());
    found = &sources_.back().second;
  }
  kept = static_cast<bool>(*found);
  if (kept) return found->get();
  UniqueFd& anonymous = anonymous_[source.family == AF_INET ? 0 : 1];
  Address unbound;
  unbound.family = source.family;
  if (!anonymous) anonymous = open_sender(&unbound);
  return anonymous.get();
}

Kept PlainSender::add(const Datagram& datagram, ByteView payload) {
  Kept kept;
  Address source;
  source.family = static_cast<std::uint16_t>(datagram.destination ? datagram.destination->family
                                                                  : target_.family);
  if (datagram.source) source = *datagram.source;
  Address destination = loopback_address(source.family);
  kept.destination = datagram.destination && datagram.destination->family == source.family &&
                     routes_.reach(*datagram.destination) == Reach::local;
  if (kept.destination) destination = *datagram.destination;
  kept.interface = kept.destination;
  kept.options = datagram.ip_options.empty();
  kept.mark = datagram.mark.value_or(0) == 0;
  kept.priority = datagram.priority.value_or(0) == 0;
  kept.fragment = !target_.fragment_matters || !datagram.frag_size;
  destination.port = target_.port;
  const int fd = sender_for(source, kept.source);

  socklen_t size = 0;
  sockaddr_storage name = destination.to_sockaddr(size);
  iovec vector{const_cast<std::uint8_t*>(payload.data()), payload.size()};
  alignas(cmsghdr) unsigned char control[2 * CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = size;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  const bool v4 = source.family == AF_INET;
  const auto set = [&](int type, int value) {
    cmsghdr header{};
    header.cmsg_level = v4 ? SOL_IP : SOL_IPV6;
    header.cmsg_type = type;
    header.cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(control + message.msg_controllen, &header, sizeof header);
    std::memcpy(control + message.msg_controllen + CMSG_LEN(0), &value, sizeof value);
    message.msg_controllen += CMSG_SPACE(sizeof value);
  };
  if (datagram.tos) set(v4 ? IP_TOS : IPV6_TCLASS, *datagram.tos);
  kept.ttl = !datagram.ttl || *datagram.ttl != 0;
  if (datagram.ttl && *datagram.ttl != 0) set(v4 ? IP_TTL : IPV6_HOPLIMIT, *datagram.ttl);
  if (message.msg_controllen == 0) message.msg_control = nullptr;
  ++sent_;
  if (::sendmsg(fd, &message, 0) >= 0) return kept;
  // A source that could be bound but not sent from (another machine's).
  const bool was_bound = kept.source;
  kept.source = false;
  bool unused = false;
  Address nobody;
  nobody.family = source.family;
  if (was_bound && ::sendmsg(sender_for(nobody, unused), &message, 0) >= 0) return kept;
  if (first_error_ == 0) first_error_ = errno;
  return kept;
}

void PlainSender::admit_only_mine(int fd) const {
  // Ours come by the loopback interface; what else could come that way to a
  // port that was made a moment ago would be counted as one too many.
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_IFINDEX)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kLoopback, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffffU),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  const sock_fprog program{std::size(code), code};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    fail("attach a filter to the socket that is being restored", errno,
         "raise net.core.optmem_max");
  }
}

}  // namespace

std::unique_ptr<Sender> make_plain_sender(const SendTarget& target) {
  return std::make_unique<PlainSender>(target);
}

}  // namespace udpcr
