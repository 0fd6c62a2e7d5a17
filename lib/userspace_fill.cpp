// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The socket is bound to a port that nobody knows, behind a filter that admits
// our datagrams only; they are sent there; connect(AF_UNSPEC) then gives the
// port back and keeps the queue (net/ipv4/udp.c, __udp_disconnect).  So live
// traffic and other sockets of the real port never meet the old datagrams.
#include "userspace_fill.hpp"

#include <netinet/udp.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <thread>
#include <tuple>

#include "errors.hpp"
#include "kernel_numbers.hpp"
#include "options.hpp"
#include "persist.hpp"
#include "receive_room.hpp"
#include "socket_facts.hpp"
#include "userspace_engine.hpp"
#include "userspace_reader.hpp"
#include "userspace_senders.hpp"

namespace udpcr {
namespace {

using Clock = std::chrono::steady_clock;

// Loopback delivers at once unless the machine is very busy.
constexpr std::chrono::milliseconds kArrival{300};
// Once one datagram has been lost on the way.
constexpr std::chrono::milliseconds kArrivalAfterLoss{5};
constexpr std::chrono::seconds kCountLimit{10};

bool is_on(const SocketRecord& record, int level, int name) {
  for (const SocketOption& option : record.options) {
    if (option.level != level || option.name != name) continue;
    return std::any_of(option.value.begin(), option.value.end(),
                       [](std::uint8_t byte) { return byte != 0; });
  }
  return false;
}

struct Visible {
  explicit Visible(const SocketRecord& record)
      : interface(is_on(record, SOL_IP, IP_PKTINFO) || is_on(record, SOL_IPV6, IPV6_RECVPKTINFO) ||
                  is_on(record, SOL_IPV6, IPV6_2292PKTINFO)),
        port(is_on(record, SOL_IP, IP_RECVORIGDSTADDR) ||
             is_on(record, SOL_IPV6, kIpv6Recvorigdstaddr)),
        ttl(is_on(record, SOL_IP, IP_RECVTTL) || is_on(record, SOL_IPV6, IPV6_RECVHOPLIMIT) ||
            is_on(record, SOL_IPV6, IPV6_2292HOPLIMIT)),
        time(is_on(record, SOL_SOCKET, SO_TIMESTAMP) || is_on(record, SOL_SOCKET, SO_TIMESTAMPNS) ||
             is_on(record, SOL_SOCKET, kSoTimestampNew) ||
             is_on(record, SOL_SOCKET, kSoTimestampnsNew) ||
             is_on(record, SOL_SOCKET, SO_TIMESTAMPING) ||
             is_on(record, SOL_SOCKET, kSoTimestampingNew)),
        flow(is_on(record, SOL_IPV6, kIpv6Flowinfo)),
        segments(is_on(record, SOL_UDP, kUdpGro)),
        fragment(is_on(record, SOL_IP, kIpRecvfragsize) ||
                 is_on(record, SOL_IPV6, kIpv6Recvfragsize)) {}
  bool interface;
  bool port;
  bool ttl;
  bool time;
  bool flow;
  bool segments;
  bool fragment;

  [[nodiscard]] KnownBy unseen() const noexcept {
    // A socket that sends segments writes the IP header itself.
    return flow || segments ? KnownBy::itself : KnownBy::header;
  }
};

// Our thread stays on one processor: its backlog keeps the order, two do not.
class OneProcessor {
 public:
  OneProcessor() {
    if (::sched_getaffinity(0, sizeof before_, &before_) != 0) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    const int here = ::sched_getcpu();
    if (here < 0 || here >= CPU_SETSIZE) return;
    CPU_SET(here, &one);
    changed_ = ::sched_setaffinity(0, sizeof one, &one) == 0;
  }
  ~OneProcessor() {
    if (changed_) ::sched_setaffinity(0, sizeof before_, &before_);
  }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

 private:
  cpu_set_t before_{};
  bool changed_ = false;
};

// Which interface owns each address: the one that a datagram to it, sent on
// this machine, seems to arrive at.
class Owners {
 public:
  // `wanted` false: nobody will ask.
  explicit Owners(bool wanted) {
    if (wanted) owners_ = interface_addresses();
  }
  [[nodiscard]] unsigned of(const Address& address) const noexcept {
    for (const auto& [owned, interface] : owners_) {
      if (owned.family == address.family &&
          std::equal(owned.bytes, owned.bytes + 16, address.bytes)) {
        return interface;
      }
    }
    return kLoopback;
  }

 private:
  std::vector<std::pair<Address, unsigned>> owners_;
};

// Sends in batches and sees by the memory charged that each one has arrived:
// datagrams of one length and family are charged the same, which is learned
// from the first of them.
class Filler {
 public:
  // `one_by_one`: the filter is set anew for each datagram.
  Filler(int fd, Sender& sender, bool one_by_one)
      : fd_(fd), sender_(sender), one_by_one_(one_by_one), charged_(queue_memory(fd).rmem) {}

  Kept send(const Datagram& datagram, ByteView payload) {
    const int family = datagram.source ? datagram.source->family : AF_UNSPEC;
    const bool in_parts = datagram.gso_size.value_or(0) != 0 || datagram.frag_size;
    const std::tuple kind{family, payload.size(), in_parts};
    const auto cost = costs_.find(kind);
    if (cost == costs_.end() || !sender_.has_room_for(datagram)) finish();
    const Kept kept = sender_.add(datagram, payload);
    ++waiting_;
    ++sent_;
    if (cost == costs_.end()) {
      const std::uint32_t before = charged_;
      expected_ = 0;
      finish();
      if (charged_ > before) costs_[kind] = charged_ - before;
    } else {
      expected_ += cost->second;
      if (sender_.fragmented()) finish();
    }
    return kept;
  }

  void finish() {
    if (waiting_ == 0) return;
    if (one_by_one_) sender_.admit_only_mine(fd_);
    const int error = sender_.flush();
    if (error != 0 && error_ == 0) error_ = error;
    const std::uint32_t start = charged_;
    const auto deadline = Clock::now() + (all_arrived_ ? kArrival : kArrivalAfterLoss);
    // `expected_` 0: one datagram whose cost is not known.
    const auto arrived = [&] {
      charged_ = queue_memory(fd_).rmem;
      return expected_ == 0 ? charged_ > start : charged_ >= start + expected_;
    };
    for (int spin = 0; !arrived(); ++spin) {
      if (error != 0 || Clock::now() > deadline) {
        all_arrived_ = false;
        break;
      }
      if (spin > 8) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    if (expected_ != 0 && charged_ != start + expected_) all_arrived_ = false;
    waiting_ = 0;
    expected_ = 0;
  }

  [[nodiscard]] bool all_arrived() const noexcept { return all_arrived_; }
  [[nodiscard]] std::size_t sent() const noexcept { return sent_; }
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  int fd_;
  Sender& sender_;
  bool one_by_one_;
  // By family, size, and whether it comes in parts.
  std::map<std::tuple<int, std::size_t, bool>, std::uint32_t> costs_;
  std::uint32_t charged_;       // SO_MEMINFO's rmem, last read
  std::uint32_t expected_ = 0;  // what the waiting ones will add
  std::size_t waiting_ = 0;
  std::size_t sent_ = 0;
  bool all_arrived_ = true;
  int error_ = 0;
};

struct Released {
  explicit Released(Senders& senders) : senders_(senders) {}
  ~Released() { senders_.release(); }
  Released(const Released&) = delete;
  Released& operator=(const Released&) = delete;

 private:
  Senders& senders_;
};

struct Counts {
  std::size_t source = 0;
  std::size_t destination = 0;
  std::size_t interface = 0;
  std::size_t ttl = 0;
  std::size_t mark = 0;
  std::size_t options = 0;
  std::size_t flow = 0;
  std::size_t priority = 0;
  std::size_t peeked = 0;
  std::size_t segments = 0;
  std::size_t fragment = 0;
};

std::uint16_t bind_private_port(int fd, int family) {
  Address any;
  any.family = static_cast<std::uint16_t>(family);
  socklen_t size = 0;
  sockaddr_storage name = any.to_sockaddr(size);
  if (persist([&] { return ::bind(fd, reinterpret_cast<const sockaddr*>(&name), size); }) != 0) {
    fail("bind a private port to put the receive queue back through", errno,
         "free a port of net.ipv4.ip_local_port_range");
  }
  size = sizeof name;
  if (persist([&] { return ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size); }) != 0) {
    fail("read the private port", errno, "");
  }
  return Address::from_sockaddr(name).port;
}

void name_losses(const SocketRecord& record, const Visible& visible, const Counts& lost,
                 std::size_t count, bool raw, std::vector<Loss>& losses) {
  const auto lose = [&](const char* what, std::size_t number, const char* why, const char* remedy) {
    if (number != 0) losses.push_back({what, std::to_string(number) + why, remedy});
  };
  constexpr const char* kModule = "load the kernel module, which keeps it";
  constexpr const char* kRaw = "run with CAP_NET_RAW, or load the kernel module";
  lose("source address", lost.source,
       raw ? " datagrams have a source that cannot be given to an injected datagram"
           : " datagrams come from an address of this machine instead of their sender's",
       raw ? kModule : "run with CAP_NET_RAW");
  if (visible.interface) {
    lose("destination address", lost.destination,
         " datagrams were sent to an address that is not local now",
         "restore where the machine has the same addresses");
    lose("arrival interface", lost.interface,
         " datagrams seem to have come in by another interface", kModule);
  }
  if (visible.ttl) lose("TTL", lost.ttl, " datagrams have TTL 0", kModule);
  if (visible.time)
    lose("arrival time", count, " datagrams carry the time of the restore", kModule);
  if (visible.port) {
    lose("original destination", count, " datagrams show the private port of the restore", kModule);
  }
  if (visible.flow && !raw) {
    lose("flow label", lost.flow, " datagrams carry another flow label", kRaw);
  }
  lose("IP options", lost.options, " datagrams had options or extension headers",
       raw ? kModule : "run with CAP_NET_RAW");
  lose("mark", lost.mark, " datagrams had a firewall mark", kRaw);
  // Others are passed over by the offset alone.
  if (is_on(record, SOL_SOCKET, SO_PEEK_OFF)) {
    lose("empty datagrams", lost.peeked, " that were peeked at will be seen again", kModule);
  }
  lose("segment size", lost.segments, " datagrams of UDP_GRO come back in their segments", kModule);
  lose("fragment size", lost.fragment, " datagrams had come in fragments (IP_RECVFRAGSIZE)",
       kModule);
  lose("priority", lost.priority, " datagrams had a priority", kRaw);
}

void disconnect(int fd) {
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  if (::connect(fd, &none, sizeof none) != 0) {
    fail("release the private port of a restored socket", errno, "");
  }
}

}  // namespace

Filled fill_queue(int fd, const SocketState& state, Senders& senders) {
  const SocketRecord& record = state.record;
  Filled filled;
  const Visible visible(record);
  SendTarget target;
  target.fd = fd;
  target.family = record.family;
  target.protocol = record.protocol;
  target.interface_matters = visible.interface;
  target.fragment_matters = visible.fragment;
  target.known_by = visible.unseen();

  Sender& sender = senders.acquire(target, fd);
  const bool raw = senders.raw();
  const Released released(senders);
  sender.admit_only_mine(fd);
  // The arrival interface of an IPv4 datagram is noted only while one of these
  // is on (net/ipv4/ip_sockglue.c, ipv4_pktinfo_prepare, Linux 6.1).
  if (is_on(record, SOL_IP, IP_PKTINFO)) write_number(fd, SOL_IP, IP_PKTINFO, 1);
  if (is_on(record, SOL_IPV6, IPV6_RECVPKTINFO)) write_number(fd, SOL_IPV6, IPV6_RECVPKTINFO, 1);
  // Segments stay together only while it is on (net/ipv4/udp.c, udp_unexpected_gso).
  if (visible.segments) write_number(fd, SOL_UDP, kUdpGro, 1);
  target.port = bind_private_port(fd, record.family);
  sender.aim(target);

  Counts lost;
  std::vector<std::uint16_t> unknown;
  const OneProcessor one_processor;
  Filler filler(fd, sender, target.known_by == KnownBy::itself);
  const Owners owners(visible.interface);
  for (std::size_t offset = 0;;) {
    const ByteView message = state.receive_queue.next(offset);
    if (message.empty()) break;
    const Datagram datagram = decode_datagram(message, unknown);
    const ByteView payload = datagram.payload;
    // What UDP_GRO had put together goes out in its segments where need be.
    const std::size_t gso_size = datagram.gso_size.value_or(0);
    const bool whole = gso_size == 0 || gso_size >= payload.size() ||
                       (visible.segments && sender.takes_segments(datagram));
    const std::size_t segment = whole ? std::max<std::size_t>(payload.size(), 1) : gso_size;
    std::size_t done = 0;
    do {
      const Kept kept =
          filler.send(datagram, payload.subspan(done, std::min(segment, payload.size() - done)));
      if (done == 0) {
        lost.source += kept.source ? 0 : 1;
        lost.destination += kept.destination || !datagram.destination ? 0 : 1;
        lost.ttl += kept.ttl ? 0 : 1;
        lost.options += kept.options ? 0 : 1;
        lost.mark += kept.mark ? 0 : 1;
        lost.flow += datagram.flow_label ? 1 : 0;
        lost.segments += segment < payload.size() ? 1 : 0;
        lost.fragment += kept.fragment ? 0 : 1;
        lost.priority += kept.priority ? 0 : 1;
        lost.peeked += datagram.peeked && payload.empty() ? 1 : 0;
        const bool moved = visible.interface && datagram.ifindex && datagram.destination &&
                           !datagram.destination->is_multicast() &&
                           owners.of(*datagram.destination) != *datagram.ifindex;
        lost.interface += !kept.interface || moved ? 1 : 0;
      }
      done += segment;
    } while (done < payload.size());
  }
  filler.finish();

  filled.datagrams = filler.sent();
  if (!filler.all_arrived()) {
    // Something was dropped, or came from elsewhere: count.
    QueueReader reader;
    filled.datagrams = reader.walk(fd, 0, target.port, kCountLimit).datagrams.count();
    write_number(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
  }
  if (filled.datagrams != filler.sent()) {
    const bool refused = filler.error() != 0;
    filled.losses.push_back(
        {"receive queue",
         "only " + std::to_string(filled.datagrams) + " of " + std::to_string(filler.sent()) +
             " datagrams could be put back" + (refused ? ": " + errno_text(filler.error()) : ""),
         "let the packet filter pass loopback traffic, have the loopback interface up, and "
         "raise net.core.rmem_max or run with CAP_NET_ADMIN"});
  }
  name_losses(record, visible, lost, filled.datagrams, raw, filled.losses);
  std::sort(unknown.begin(), unknown.end());
  unknown.erase(std::unique(unknown.begin(), unknown.end()), unknown.end());
  for (const std::uint16_t number : unknown) {
    filled.losses.push_back({"datagram attribute " + std::to_string(number),
                             "this version does not know it", "use a newer udpcr"});
  }
  disconnect(fd);
  const int nothing = 0;
  if (::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &nothing, sizeof nothing) != 0) {
    fail("take the filter off a restored socket", errno, "");
  }
  return filled;
}

void UserspaceFill::before_bind(int fd, const SocketState& state, Restored& restored) {
  const ReceiveRoom room(fd, state);
  Filled filled = fill_queue(fd, state, senders_);
  restored.datagrams = filled.datagrams;
  std::move(filled.losses.begin(), filled.losses.end(), std::back_inserter(restored.losses));
}

void UserspaceFill::bound(int /*fd*/, const SocketState& /*state*/, Restored& /*restored*/) {}

// What the module's engine has captured.  A loss that was named at the
// checkpoint is not named again.
void UserspaceFill::finish(int fd, const SocketState& state, Restored& restored) {
  const auto lose = [&](const char* what, const std::string& why) {
    for (const Loss& loss : state.losses) {
      if (loss.what == what) return;
    }
    restored.losses.push_back({what, why, "restore with the kernel module (UDPCR_ENGINE=module)"});
  };
  const SocketRecord& record = state.record;
  if (record.drops != 0) {
    lose("drop counter", std::to_string(record.drops) + " datagrams had been dropped");
  }
  if (record.error != 0) {
    lose("pending error", errno_text(static_cast<int>(record.error)) + " waited to be read");
  }
  if (!state.error_queue.empty()) {
    lose("error queue", std::to_string(state.error_queue.count()) + " messages waited to be read");
  }
  if (record.tskey != 0) {
    lose("timestamp counter", "the next number was " + std::to_string(record.tskey));
  }
  if (record.cgroup == 0 || record.local.port == 0) return;
  SocketRecord now = record;
  try {
    now.cookie = read_cookie(fd, kSoCookie);
    if (const auto facts = diag_.facts(now)) {
      name_cgroup(record.cgroup, facts->cgroup, restored.losses);
    }
  } catch (const Error& error) {
    restored.losses.push_back({"cgroup",
                               "it was accounted to cgroup " + std::to_string(record.cgroup) +
                                   ", and which one it is now: " + error.what(),
                               "restart in the same cgroup"});
  }
}

}  // namespace udpcr
