// SPDX-License-Identifier: LGPL-2.1-or-later
#include "userspace_reader.hpp"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <udpcr/image_header.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "errors.hpp"
#include "kernel_numbers.hpp"
#include "options.hpp"
#include "persist.hpp"

namespace udpcr {
namespace {

struct LevelAndName {
  int level;
  int name;
};

// What ReadingOptions changes.  IPv4's apply to IPv6 sockets too, for the IPv4
// datagrams that those receive.  SO_TIMESTAMPING and not SO_TIMESTAMPNS: it can
// be undone without a trace, and gives no time that was not taken on arrival.
constexpr LevelAndName kChanged[] = {
    {SOL_SOCKET, SO_PEEK_OFF},    {SOL_SOCKET, SO_TIMESTAMPING}, {SOL_IP, IP_PKTINFO},
    {SOL_IP, IP_RECVTOS},         {SOL_IP, IP_RECVTTL},          {SOL_IPV6, IPV6_RECVPKTINFO},
    {SOL_IPV6, IPV6_RECVTCLASS},  {SOL_IPV6, IPV6_RECVHOPLIMIT}, {SOL_IP, IP_RECVOPTS},
    {SOL_IP, kIpRecvfragsize},    {SOL_IPV6, IPV6_RECVHOPOPTS},  {SOL_IPV6, IPV6_RECVRTHDR},
    {SOL_IPV6, IPV6_RECVDSTOPTS}, {SOL_IPV6, kIpv6Flowinfo},     {SOL_IPV6, kIpv6Recvfragsize},
    {SOL_SOCKET, kSoRcvmark},     {SOL_SOCKET, kSoRcvpriority},
};

constexpr unsigned kBatch = 32;
// A queued datagram is charged no less: struct sk_buff and skb_shared_info alone
// (include/linux/skbuff.h, SKB_TRUESIZE).
constexpr std::uint32_t kLeastCharge = 512;
constexpr std::size_t kPayloadRoom = 65536;
// Extension headers have up to 2 KiB each.
constexpr std::size_t kControlRoom = 8192;

template <typename T>
T load(const void* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// IPv4 addresses inside IPv6 ones (RFC 4291, 2.5.5.2) become plain IPv4 ones.
Address unmapped(const Address& address) noexcept {
  static constexpr std::uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (address.family != AF_INET6 || !std::equal(kPrefix, kPrefix + 12, address.bytes)) {
    return address;
  }
  Address v4;
  v4.family = AF_INET;
  v4.port = address.port;
  std::copy_n(address.bytes + 12, 4, v4.bytes);
  return v4;
}

std::optional<std::uint64_t> nanoseconds(const timespec& time) noexcept {
  if (time.tv_sec == 0 && time.tv_nsec == 0) return std::nullopt;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(time.tv_nsec);
}

void take_ipv4(Datagram& datagram, const cmsghdr& header, const unsigned char* data) {
  if (header.cmsg_type == IP_PKTINFO) {
    const auto info = load<in_pktinfo>(data);
    Address destination;
    destination.family = AF_INET;
    std::memcpy(destination.bytes, &info.ipi_addr, 4);
    datagram.destination = destination;
    // 0 when IP_PKTINFO was off on arrival (net/ipv4/ip_sockglue.c,
    // ipv4_pktinfo_prepare).
    if (info.ipi_ifindex > 0) datagram.ifindex = static_cast<std::uint32_t>(info.ipi_ifindex);
  } else if (header.cmsg_type == IP_TOS) {
    datagram.tos = *data;
  } else if (header.cmsg_type == IP_TTL) {
    datagram.ttl = static_cast<std::uint8_t>(load<int>(data));
  } else if (header.cmsg_type == IP_RECVOPTS) {
    datagram.ip_options.assign(data, data + (header.cmsg_len - CMSG_LEN(0)));
  } else if (header.cmsg_type == kIpRecvfragsize) {
    datagram.frag_size = static_cast<std::uint16_t>(load<int>(data));
  }
}

// The kernel gives them one by one, in their order in the packet
// (net/ipv6/datagram.c, ip6_datagram_recv_specific_ctl).
void take_extension(Datagram& datagram, std::uint8_t number, const cmsghdr& header,
                    const unsigned char* data) {
  if (datagram.ip_options.empty()) datagram.next_header = number;
  datagram.ip_options.insert(datagram.ip_options.end(), data,
                             data + (header.cmsg_len - CMSG_LEN(0)));
}

void take_ipv6(Datagram& datagram, const cmsghdr& header, const unsigned char* data) {
  if (header.cmsg_type == IPV6_PKTINFO) {
    if (datagram.destination) return;  // IPv4 datagram: IP_PKTINFO says more
    const auto info = load<in6_pktinfo>(data);
    Address destination;
    destination.family = AF_INET6;
    std::memcpy(destination.bytes, &info.ipi6_addr, 16);
    if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) destination.scope = info.ipi6_ifindex;
    datagram.destination = unmapped(destination);
    datagram.ifindex = info.ipi6_ifindex;
  } else if (header.cmsg_type == IPV6_TCLASS) {
    datagram.tos = static_cast<std::uint8_t>(load<int>(data));
  } else if (header.cmsg_type == IPV6_HOPLIMIT) {
    datagram.ttl = static_cast<std::uint8_t>(load<int>(data));
  } else if (header.cmsg_type == IPV6_HOPOPTS) {
    take_extension(datagram, IPPROTO_HOPOPTS, header, data);
  } else if (header.cmsg_type == IPV6_RTHDR) {
    take_extension(datagram, IPPROTO_ROUTING, header, data);
  } else if (header.cmsg_type == IPV6_DSTOPTS) {
    take_extension(datagram, IPPROTO_DSTOPTS, header, data);
  } else if (header.cmsg_type == kIpv6Flowinfo) {
    const std::uint32_t label = ntohl(load<std::uint32_t>(data)) & 0xfffffU;
    if (label != 0) datagram.flow_label = label;
  } else if (header.cmsg_type == kIpv6Recvfragsize) {
    datagram.frag_size = static_cast<std::uint16_t>(load<int>(data));
  }
}

void take_socket(Datagram& datagram, const cmsghdr& header, const unsigned char* data) {
  if (header.cmsg_type == SO_TIMESTAMPING) {
    datagram.timestamp = nanoseconds(load<scm_timestamping>(data).ts[0]);
  } else if (header.cmsg_type == SO_TIMESTAMPNS && !datagram.timestamp) {
    datagram.timestamp = nanoseconds(load<timespec>(data));
  } else if (header.cmsg_type == SO_MARK) {
    if (const auto mark = load<std::uint32_t>(data); mark != 0) datagram.mark = mark;
  } else if (header.cmsg_type == SO_PRIORITY) {
    if (const auto priority = load<std::uint32_t>(data); priority != 0)
      datagram.priority = priority;
  }
}

}  // namespace

QueueMemory queue_memory(int fd) {
  std::uint32_t info[kMeminfoCount] = {};
  socklen_t size = sizeof info;
  if (persist([&] { return ::getsockopt(fd, SOL_SOCKET, kSoMeminfo, info, &size); }) != 0) {
    fail("read SO_MEMINFO of fd " + std::to_string(fd), errno, "use Linux 4.12 or newer");
  }
  return {info[kMeminfoRmem], info[kMeminfoDrops]};
}

ReadingState::ReadingState(int fd) : fd_(fd) {
  for (const LevelAndName& option : kChanged) {
    if (auto value = read_option(fd, option.level, option.name)) {
      saved_.push_back({option.level, option.name, std::move(*value)});
    }
  }
}

int ReadingState::restore() const noexcept {
  int error = 0;
  for (const SocketOption& option : saved_) {
    const int one = write_option(fd_, option.level, option.name, option.value);
    if (one != 0) error = one;
  }
  return error;
}

bool ReadingState::has(int level, int name) const noexcept {
  return std::any_of(saved_.begin(), saved_.end(), [&](const SocketOption& option) {
    return option.level == level && option.name == name;
  });
}

ReadingOptions::ReadingOptions(int fd, int family) : fd_(fd), state_(fd) {
  if (const int error = set_all(family); error != 0) {
    state_.restore();
    fail("set the options of fd " + std::to_string(fd) + " that its queue is read with", error, "");
  }
}

// 0 or an errno.
int ReadingOptions::set_all(int family) {
  int error = 0;
  // What cannot be put back is left alone.
  const auto set = [&](int level, int name, int value) {
    const int one = state_.has(level, name) ? write_number(fd_, level, name, value) : 0;
    const bool may_be_refused = one == EPERM && name == kSoRcvmark;
    if (one != 0 && !may_be_refused) error = one;
  };
  set(SOL_SOCKET, SO_TIMESTAMPING,
      read_number(fd_, SOL_SOCKET, SO_TIMESTAMPING).value_or(0) | SOF_TIMESTAMPING_RX_SOFTWARE |
          SOF_TIMESTAMPING_SOFTWARE);
  set(SOL_IP, IP_PKTINFO, 1);
  set(SOL_IP, IP_RECVTOS, 1);
  set(SOL_IP, IP_RECVTTL, 1);
  set(SOL_IP, IP_RECVOPTS, 1);
  set(SOL_IP, kIpRecvfragsize, 1);
  // Where the kernel has them and this user may.
  set(SOL_SOCKET, kSoRcvmark, 1);
  set(SOL_SOCKET, kSoRcvpriority, 1);
  if (family != AF_INET6) return error;
  set(SOL_IPV6, IPV6_RECVPKTINFO, 1);
  set(SOL_IPV6, IPV6_RECVTCLASS, 1);
  for (const int name : {IPV6_RECVHOPLIMIT, IPV6_RECVHOPOPTS, IPV6_RECVRTHDR, IPV6_RECVDSTOPTS,
                         kIpv6Flowinfo, kIpv6Recvfragsize}) {
    set(SOL_IPV6, name, 1);
  }
  return error;
}

ReadingOptions::~ReadingOptions() {
  if (!put_back_) state_.restore();
}

void ReadingOptions::put_back() {
  put_back_ = true;
  if (const int error = state_.restore(); error != 0) {
    fail("put back the options of fd " + std::to_string(fd_) + " that its queue was read with",
         error, "");
  }
}

struct ReceiveBatch::Slots {
  mmsghdr messages[kBatch];
  iovec vectors[kBatch];
  sockaddr_storage names[kBatch];
  alignas(cmsghdr) unsigned char controls[kBatch][kControlRoom];
  // Not initialised: most of it is never touched.
  std::unique_ptr<std::uint8_t[]> payloads{new std::uint8_t[kBatch * kPayloadRoom]};
};

ReceiveBatch::ReceiveBatch() : slots_(std::make_unique<Slots>()) {
  for (unsigned i = 0; i < kBatch; ++i) {
    slots_->vectors[i] = {slots_->payloads.get() + i * kPayloadRoom, kPayloadRoom};
  }
}

ReceiveBatch::~ReceiveBatch() = default;

int ReceiveBatch::receive(int fd, int flags, unsigned limit) {
  const unsigned count = std::min(limit, kBatch);
  for (unsigned i = 0; i < count; ++i) {
    msghdr& header = slots_->messages[i].msg_hdr;
    header = {};
    header.msg_name = &slots_->names[i];
    header.msg_namelen = sizeof slots_->names[i];
    header.msg_iov = &slots_->vectors[i];
    header.msg_iovlen = 1;
    header.msg_control = slots_->controls[i];
    header.msg_controllen = kControlRoom;
  }
  for (;;) {
    const int got = ::recvmmsg(fd, slots_->messages, count, flags | MSG_DONTWAIT, nullptr);
    if (got >= 0) return got;
    if (errno != EINTR) return -errno;
  }
}

int ReceiveBatch::receive_persistently(int fd, int flags, unsigned limit) {
  int got = receive(fd, flags, limit);
  // The end of the queue is what is told twice.
  if (got == -EAGAIN) got = receive(fd, flags, limit);
  if (got >= 0 || got != -ENOMEM) return got;
  const auto again = [&] {
    got = receive(fd, flags, limit);
    errno = got < 0 ? -got : 0;
    return got == -EAGAIN ? 0 : got;
  };
  persist(again);
  return got;
}

Datagram ReceiveBatch::datagram(unsigned index, std::uint16_t local_port) const {
  msghdr& header = slots_->messages[index].msg_hdr;
  Datagram datagram;
  const Address source = unmapped(Address::from_sockaddr(slots_->names[index]));
  if (header.msg_namelen != 0 && source.family != AF_UNSPEC) datagram.source = source;
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
       control = CMSG_NXTHDR(&header, control)) {
    const unsigned char* data = CMSG_DATA(control);
    if (control->cmsg_level == SOL_IP) take_ipv4(datagram, *control, data);
    if (control->cmsg_level == SOL_IPV6) take_ipv6(datagram, *control, data);
    if (control->cmsg_level == SOL_SOCKET) take_socket(datagram, *control, data);
    if (control->cmsg_level == SOL_UDP && control->cmsg_type == kUdpGro) {
      datagram.gso_size = static_cast<std::uint16_t>(load<int>(data));
    }
  }
  if (datagram.destination) datagram.destination->port = local_port;
  const std::uint8_t* payload = slots_->payloads.get() + index * kPayloadRoom;
  datagram.payload.assign(payload, payload + slots_->messages[index].msg_len);
  return datagram;
}

namespace {

// Without it each peek would give the head of the queue.
void peek_from(int fd, int offset) {
  if (const int error = write_number(fd, SOL_SOCKET, SO_PEEK_OFF, offset); error != 0) {
    fail("peek into the receive queue of fd " + std::to_string(fd), error, "");
  }
}

}  // namespace

Walk QueueReader::walk(int fd, std::uint64_t cookie, std::uint16_t local_port,
                       std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  // What arrives during the walk is not chased: a queue that grows as fast as it
  // is read would have no end.
  const std::size_t most = queue_memory(fd).rmem / kLeastCharge + 1;
  Walk walk;
  walk.empties_unsure = read_number(fd, SOL_SOCKET, SO_PEEK_OFF).value_or(-1) >= 0;
  bool any_empty = false;
  const auto take = [&](unsigned index) {
    const Datagram datagram = batch_.datagram(index, local_port);
    walk.bytes += datagram.payload.size();
    any_empty = any_empty || datagram.payload.empty();
    walk.datagrams.append(encode_datagram(datagram));
    return datagram.payload.empty();
  };
  // recvmmsg(2) gives a pending error once, and clears it.
  const auto receive = [&](unsigned count) {
    int got = batch_.receive_persistently(fd, MSG_PEEK, count);
    for (int attempt = 0; got < 0 && got != -EAGAIN && attempt < 16; ++attempt) {
      walk.error = -got;
      got = batch_.receive_persistently(fd, MSG_PEEK, count);
    }
    if (got < 0 && got != -EAGAIN) {
      fail("read the receive queue of fd " + std::to_string(fd), -got, "");
    }
    return got;
  };

  // Without an offset the kernel gives the head, whatever was peeked before.
  peek_from(fd, -1);
  const bool head_is_empty = receive(1) == 1 && batch_.datagram(0, local_port).payload.empty();
  if (head_is_empty) take(0);
  peek_from(fd, 0);
  for (int got = 0; walk.datagrams.count() < most && (got = receive(kBatch)) > 0;) {
    for (int i = 0; i < got; ++i) take(static_cast<unsigned>(i));
    if (std::chrono::steady_clock::now() > deadline) {
      walk.complete = false;
      break;
    }
  }

  const std::uint32_t rmem = queue_memory(fd).rmem;
  const auto history = histories_.find(cookie);
  if (history == histories_.end() && !any_empty) return walk;
  std::vector<Seen> now;
  std::vector<Bytes> messages;
  std::vector<std::uint16_t> unknown;
  for (std::size_t offset = 0;;) {
    const ByteView message = walk.datagrams.next(offset);
    if (message.empty()) break;
    Seen seen{udpcr_identity_hash(UDPCR_HASH_START, message.data(), message.size()), {}};
    messages.emplace_back(message.begin(), message.end());
    if (decode_datagram(message, unknown).payload.empty()) seen.empty_message = messages.back();
    now.push_back(std::move(seen));
  }
  if (history != histories_.end()) {
    if (!recall(history->second, rmem, head_is_empty, now, messages)) walk.empties_unsure = true;
    walk.datagrams = {};
    for (const Bytes& message : messages) walk.datagrams.append(message);
  }
  const auto is_empty = [](const Seen& seen) { return !seen.empty_message.empty(); };
  if (std::any_of(now.begin(), now.end(), is_empty)) {
    histories_[cookie] = {std::move(now), rmem};
  } else {
    histories_.erase(cookie);
  }
  return walk;
}

bool QueueReader::recall(const History& last_walk, std::uint32_t rmem, bool head_is_empty,
                         std::vector<Seen>& now, std::vector<Bytes>& messages) {
  const std::vector<Seen>& history = last_walk.seen;
  const auto is_empty = [](const Seen& seen) { return !seen.empty_message.empty(); };
  // Do the datagrams now in the queue begin with what is left of the history
  // from `first` on?  `now` has of its empty ones at most the head.
  const auto fits = [&](std::size_t first) {
    if (now.empty() || now[0].digest != history[first].digest) return false;
    std::size_t at = head_is_empty ? 1 : 0;
    for (std::size_t i = first + (head_is_empty ? 1 : 0); i < history.size(); ++i) {
      if (is_empty(history[i])) continue;
      if (at == now.size() || now[at].digest != history[i].digest) return false;
      ++at;
    }
    return true;
  };
  std::optional<std::size_t> first;
  std::size_t last = 0;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (!fits(i)) continue;
    if (!first) first = i;
    last = i;
  }
  if (!first) return true;  // all that was there has been read
  std::size_t at = 0;
  for (std::size_t i = *first; i < history.size(); ++i, ++at) {
    if (!is_empty(history[i]) || (i == *first && head_is_empty)) continue;
    now.insert(now.begin() + static_cast<std::ptrdiff_t>(at), history[i]);
    messages.insert(messages.begin() + static_cast<std::ptrdiff_t>(at), history[i].empty_message);
  }
  // As much memory as then, and nothing that was read: the very same queue.
  if (*first == 0 && rmem == last_walk.rmem) return true;
  // Several places fit: it matters only if they disagree about empty datagrams.
  const auto begin = history.begin();
  return std::none_of(begin + static_cast<std::ptrdiff_t>(*first),
                      begin + static_cast<std::ptrdiff_t>(last), is_empty);
}

void QueueReader::drain(int fd, std::uint16_t local_port,
                        const std::function<void(const Datagram&)>& take) {
  for (int errors = 0; errors < 16;) {
    const int got = batch_.receive_persistently(fd, 0, kBatch);
    if (got == 0 || got == -EAGAIN) return;
    if (got < 0) {
      ++errors;  // a pending error: the next call gets past it
      continue;
    }
    for (int i = 0; i < got; ++i) take(batch_.datagram(static_cast<unsigned>(i), local_port));
  }
  fail("drain the receive queue of fd " + std::to_string(fd), EIO,
       "the socket reports one error after the other");
}

}  // namespace udpcr
