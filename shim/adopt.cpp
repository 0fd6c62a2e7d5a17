// SPDX-License-Identifier: LGPL-2.1-or-later
#include "adopt.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#include <optional>

#include "channel.h"
#include "endpoint.h"
#include "joined_groups.h"
#include "log.h"
#include "own_fds.h"
#include "owner.h"
#include "park.h"
#include "recorded_options.h"
#include "replay.h"
#include "sys.h"
#include "turn.h"

namespace udpcr::adopt {

namespace {

// include/uapi/asm-generic/socket.h, since Linux 5.14.
constexpr int kSoNetnsCookie = 71;

constinit const wire::Table* table = nullptr;
constinit uint32_t table_entries = 0;

const wire::TableEntry& entry_at(uint32_t number) { return table->entry[number]; }

// The socket of an fd that connect(2) may put another in the place of.
struct Exchangeable {
  uint64_t inode;
  uint32_t entry;
};
constexpr size_t kMostExchangeable = 256;
constinit Exchangeable exchangeable[kMostExchangeable] = {};
constinit size_t exchangeable_used = 0;

bool is_bound_alike(const wire::TableEntry& one, const wire::TableEntry& other) {
  return one.family == other.family && one.protocol == other.protocol &&
         one.local_port == other.local_port && one.actual_port == other.actual_port &&
         ((one.flags ^ other.flags) & (wire::kFdBound | wire::kFdBoundAddress)) == 0 &&
         memcmp(one.local_address, other.local_address, sizeof one.local_address) == 0 &&
         memcmp(one.device, other.device, sizeof one.device) == 0 &&
         one.netns_cookie == other.netns_cookie;
}

bool is_held(const wire::TableEntry& entry) {
  wire::EntryState state{};
  __atomic_load(&entry.state, &state, __ATOMIC_ACQUIRE);
  return state == wire::EntryState::held;
}

// The fresh socket that wants a place.
class Fresh {
 public:
  Fresh(int fd, const FdSlot& slot) : fd_(fd) {
    const uint32_t flags = slot.flags.load(std::memory_order_relaxed);
    family_ = (flags & kFdIpv6) != 0 ? AF_INET6 : AF_INET;
    is_forked_ = (flags & kFdForked) != 0;
    protocol_ = (flags & kFdUdpLite) != 0 ? IPPROTO_UDPLITE : IPPROTO_UDP;
    inode_ = slot.inode.load(std::memory_order_relaxed);
    socklen_t size = sizeof device_ - 1;
    if (sys::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device_, &size) != 0) device_[0] = '\0';
    size = sizeof netns_cookie_;
    sys::getsockopt(fd, SOL_SOCKET, kSoNetnsCookie, &netns_cookie_, &size);
  }

  // An entry that was closed behind our back is no socket of ours.
  [[nodiscard]] bool is_sound() const { return has_inode(fd_, inode_); }

  // 0: no other process has it.
  [[nodiscard]] uint64_t shared_inode() const { return is_forked_ ? inode_ : 0; }

  // Sending binds as well.
  [[nodiscard]] bool has_a_port() const {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    return syscall(SYS_getsockname, fd_, &name, &size) == 0 &&
           Endpoint(reinterpret_cast<const sockaddr*>(&name), size).port != 0;
  }

  [[nodiscard]] bool is_of_kind(const wire::TableEntry& entry) const {
    return entry.family == family_ && entry.protocol == protocol_ && is_in_namespace_of(entry);
  }

  [[nodiscard]] bool is_in_namespace_of(const wire::TableEntry& entry) const {
    return entry.netns_cookie == netns_cookie_ || entry.netns_cookie == 0 || netns_cookie_ == 0;
  }

  [[nodiscard]] bool would_bind_as(const wire::TableEntry& entry, const Endpoint& wanted) const {
    if (!is_of_kind(entry) || wanted.family != family_) return false;
    if ((entry.flags & wire::kFdBound) == 0 || entry.local_port != wanted.port) return false;
    const bool has_address = (entry.flags & wire::kFdBoundAddress) != 0;
    if (has_address == wanted.is_wildcard()) return false;
    if (has_address && !is_same_place(wanted, entry.local_address, entry.local_scope)) return false;
    return is_on_device_of(entry, wanted.scope);
  }

  // The scope of a link-local address binds to the device as well, at bind and
  // at connect (net/ipv6/af_inet6.c, __inet6_bind, Linux 6.1).
  [[nodiscard]] bool is_on_device_of(const wire::TableEntry& entry, uint32_t scope) const {
    if (strncmp(entry.device, device_, sizeof entry.device) == 0) return true;
    if (device_[0] != '\0' || scope == 0) return false;
    const KeepErrno keep;
    ifreq request{};
    request.ifr_ifindex = static_cast<int>(scope);
    return syscall(SYS_ioctl, fd_, SIOCGIFNAME, &request) == 0 &&
           strncmp(entry.device, request.ifr_name, sizeof request.ifr_name) == 0;
  }

  [[nodiscard]] bool would_connect_as(const wire::TableEntry& entry, const Endpoint& peer) const {
    return is_of_kind(entry) && peer.family == family_ && (entry.flags & wire::kFdBound) == 0 &&
           entry.peer_port != 0 && entry.peer_port == peer.port &&
           is_same_place(peer, entry.peer_address, entry.peer_scope) &&
           is_on_device_of(entry, peer.scope);
  }

  // `restored` becomes the socket of every fd that the fresh one had.
  // `as_here`: with the options that this process has set.
  bool make_way_for(int restored, uint32_t number, bool as_here = true) {
    const wire::TableEntry& entry = entry_at(number);
    // As this run has asked.
    const int file_flags = sys::fcntl(fd_, F_GETFL);
    const bool async = (file_flags & O_ASYNC) != 0 || (entry.flags & wire::kFdAsync) != 0;
    sys::fcntl(restored, F_SETFL, file_flags & ~O_ASYNC);
    // Where processes share it, it is the one's that has asked for it.
    if (as_here) set_owner(restored, fd_, entry.owner);
    copy_owner(restored);
    const bool exchanges = may_exchange(number);
    const uint64_t inode = inode_of(restored);
    joined_groups::forget(inode);
    if (as_here) replay::set_options_again(inode_, fd_, restored);
    replay::leave_epolls(inode_);
    const uint32_t mask = wire::kFdBound | wire::kFdBoundPort | wire::kFdBoundAddress | kFdExchange;
    const uint32_t marks = (entry.flags & mask) | kFdAdopted |
                           (is_connected(restored) ? kFdConnected : 0) |
                           (exchanges ? kFdExchange : 0) | (park::is_on() ? kFdParked : 0);
    bool placed = false;
    int refused = 0;
    const auto place = [&](int fd, FdSlot& slot) {
      if (inode_of(fd) != inode_) return;  // closed meanwhile
      const int cloexec = sys::fcntl(fd, F_GETFD) == FD_CLOEXEC ? O_CLOEXEC : 0;
      // EBUSY: another thread is about to get this number (dup(2)).
      while (sys::dup3(restored, fd, cloexec) < 0) {
        refused = errno;
        if (errno != EINTR && errno != EBUSY) return;
      }
      // The signal names the number at which it was asked for (F_SETSIG).
      if (async && !placed) sys::fcntl(fd, F_SETFL, file_flags | O_ASYNC);
      placed = true;
      slot.flags.fetch_and(~mask, std::memory_order_relaxed);
      slot.flags.fetch_or(marks, std::memory_order_relaxed);
      slot.inode.store(inode, std::memory_order_release);
    };
    const uint64_t fresh = inode_;
    FdSlot* const slot = fd_table.find(fd_);
    if (slot != nullptr && (slot->flags.load(std::memory_order_relaxed) & kFdShared) == 0) {
      place(fd_, *slot);
    } else {
      fd_table.each_of(fresh, place);
    }
    replay::join_epolls(fresh, inode);
    if (exchanges) {
      replay::keep_for(fresh, inode);
      exchangeable[exchangeable_used++] = {inode, number};
    } else {
      replay::forget(fresh);
    }
    recorded_options::move(fresh, inode);
    sys::close(restored);
    if (!placed && refused != 0) say_that_it_is_refused(refused, entry.actual_port);
    return placed;
  }

 private:
  static bool is_connected(int fd) {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    return syscall(SYS_getpeername, fd, &name, &size) == 0;
  }

  // Another one was bound alike and connected: connect(2) makes this one that.
  static bool may_exchange(uint32_t number) {
    const wire::TableEntry& entry = entry_at(number);
    if (entry.peer_port != 0 || exchangeable_used == kMostExchangeable) return false;
    for (uint32_t i = 0; i < table_entries; ++i) {
      const wire::TableEntry& other = entry_at(i);
      if (is_held(other) && other.peer_port != 0 && is_bound_alike(entry, other)) return true;
    }
    return false;
  }

  void say_that_it_is_refused(int error, unsigned port) const {
    Line line;
    line << "not restored: fd " << fd_ << ", port " << port
         << ", cannot be replaced (dup3): " << strerrordesc_np(error)
         << "; if a seccomp filter of the program forbids it, it must allow dup3; the program goes "
            "on with a fresh socket";
    log_line(LogLevel::error, line);
  }

  // Whom this run has told to be signalled, if anyone.
  void copy_owner(int restored) const {
    f_owner_ex owner{};
    if (sys::fcntl(fd_, F_GETOWN_EX, reinterpret_cast<long>(&owner)) == 0 && owner.pid != 0) {
      sys::fcntl(restored, F_SETOWN_EX, reinterpret_cast<long>(&owner));
    }
    const int signal = sys::fcntl(fd_, F_GETSIG);
    if (signal > 0) sys::fcntl(restored, F_SETSIG, signal);
  }

  int fd_;
  uint16_t family_ = AF_UNSPEC;
  uint16_t protocol_ = 0;
  uint64_t inode_ = 0;
  bool is_forked_ = false;
  uint64_t netns_cookie_ = 0;
  char device_[IFNAMSIZ + 1] = {};
};

void look_whether_any_is_left() {
  for (uint32_t i = 0; i < table_entries; ++i) {
    if (is_held(entry_at(i))) return;
  }
  pending.store(false, std::memory_order_relaxed);
}

void give_up(int error) {
  pending.store(false, std::memory_order_relaxed);
  if (error == ESHUTDOWN) return;  // said for all that the keeper does
  Line line;
  line << "not restored: the keeper does not hand over a socket: " << strerrordesc_np(error)
       << "; the program goes on with fresh ones, restart it to try again";
  log_line(LogLevel::error, line);
}

// The keeper's word that this entry is no more to be had: the next, then.
bool is_refusal(int error) { return error == EALREADY || error == ETIME || error == ENOENT; }

// A program that has set its RLIMIT_NOFILE as low as it can could not receive
// the socket that it gets in exchange.
class Room {
 public:
  explicit Room(int fd) {
    if (is_there(fd)) return;
    raised_.emplace(-1);
    exists_ = is_there(fd);
  }

  [[nodiscard]] bool exists() const { return exists_; }

 private:
  static bool is_there(int fd) {
    const int probe = sys::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (probe >= 0) sys::close(probe);
    return probe >= 0 || errno != EMFILE;
  }

  std::optional<own_fds::RaisedLimit> raised_;
  bool exists_ = true;
};

// bind(2) alone does not connect.  A port that the kernel chose would be lost.
void dissolve(int restored, const wire::TableEntry& entry) {
  if (entry.peer_port == 0 || (entry.flags & wire::kFdBoundPort) == 0) return;
  const sockaddr none{AF_UNSPEC, {}};
  if (syscall(SYS_connect, restored, &none, sizeof none) != 0 || entry.device[0] == '\0') return;
  // It takes the device off (net/ipv4/udp.c, __udp_disconnect, Linux 6.1).
  sys::setsockopt(restored, SOL_SOCKET, SO_BINDTODEVICE, entry.device,
                  static_cast<socklen_t>(strnlen(entry.device, sizeof entry.device)));
}

// The first entry that `fits`, in the order of the image: the same occurrence.
// `arrived` is shown the socket before it takes its place.
template <typename Fits, typename Arrived>
bool adopt_first(Fresh& fresh, int fd, Fits fits, Arrived arrived) {
  for (uint32_t i = 0; i < table_entries && is_pending(); ++i) {
    const wire::TableEntry& entry = entry_at(i);
    if (!is_held(entry) || !fits(entry)) continue;
    const Room room(fd);
    if (!room.exists()) {
      Line line;
      line << "not restored: fd " << fd
           << ": no fd is left to receive the restored socket; raise RLIMIT_NOFILE (ulimit -n)";
      log_line(LogLevel::error, line);
      return false;
    }
    int restored = -1;
    const int error = channel::ask(wire::Type::claim, i, restored, fresh.shared_inode());
    if (is_refusal(error)) continue;
    if (error != 0) {
      give_up(error);
      return false;
    }
    arrived(restored, entry);
    const bool placed = fresh.make_way_for(restored, i);
    any_adopted.store(true, std::memory_order_relaxed);
    // Its answer means that the keeper's own copy is closed, the port free.
    int none = -1;
    if (!placed) channel::ask(wire::Type::release, i, none);
    look_whether_any_is_left();
    return placed;
  }
  return false;
}

bool is_connected_to(int fd, const Endpoint& peer) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (syscall(SYS_getpeername, fd, &name, &size) != 0) return false;
  const Endpoint now(reinterpret_cast<const sockaddr*>(&name), size);
  return now.family == peer.family && now.port == peer.port &&
         is_same_place(peer, now.bytes, now.scope);
}

// Another process has bound what this one has as well.
void exchange_here(const wire::ExchangeMessage& message, int restored) {
  int fd = -1;
  fd_table.each_of(message.inode, [&](int one, FdSlot&) { fd = one; });
  FdSlot* const slot = fd_table.find(fd);
  if (slot == nullptr || message.entry >= table_entries) {
    sys::close(restored);
    return;
  }
  Fresh(fd, *slot).make_way_for(restored, message.entry, false);
  any_adopted.store(true, std::memory_order_relaxed);
  look_whether_any_is_left();
}

}  // namespace

void serve_exchange() {
  const Turn own_turn(turn);
  channel::serve_exchange();
}

void open_table(int fd, uint32_t entries) {
  const KeepErrno keep;
  struct stat status {};
  const size_t size = sizeof(wire::Table) + entries * sizeof(wire::TableEntry);
  void* map = MAP_FAILED;
  if (sys::fstat(fd, &status) == 0 && static_cast<uint64_t>(status.st_size) >= size) {
    map = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  }
  sys::close(fd);
  if (map == MAP_FAILED ||
      wire::soundness_of(static_cast<wire::Table*>(map)->header, size) != wire::Soundness::sound) {
    Line line;
    line << "not restored: the keeper's table of " << entries
         << " sockets cannot be used; install shim and tool from the same release";
    return log_line(LogLevel::error, line);
  }
  table = static_cast<const wire::Table*>(map);
  table_entries = entries;
  channel::on_exchange(exchange_here);
  pending.store(entries > 0, std::memory_order_release);
}

bool at_bind(int fd, FdSlot& slot, const sockaddr* address, socklen_t size) {
  const uint32_t flags = slot.flags.load(std::memory_order_relaxed);
  if ((flags & wire::kFdOriginKnown) == 0) return false;
  if ((flags & (wire::kFdBound | kFdConnected)) != 0) return false;
  const Turn own_turn(turn);
  const Endpoint wanted = Endpoint::to_bind(address, size, (flags & kFdIpv6) != 0);
  Fresh fresh(fd, slot);
  if (wanted.family == AF_UNSPEC || !fresh.is_sound() || fresh.has_a_port()) return false;
  // A listener before the sockets that it has connected on the same port.
  for (const bool connected : {false, true}) {
    const auto fits = [&](const wire::TableEntry& entry) {
      return (entry.peer_port != 0) == connected && fresh.would_bind_as(entry, wanted);
    };
    if (adopt_first(fresh, fd, fits, dissolve)) return true;
  }
  return false;
}

namespace {

// What a listener was connected as in its earlier life is another socket, bound
// alike: the two change places, and the next bind like it gets the listener.
bool exchange(int fd, FdSlot& slot, const Endpoint& peer) {
  Exchangeable* own = nullptr;
  const uint64_t inode = slot.inode.load(std::memory_order_relaxed);
  for (size_t i = 0; i < exchangeable_used; ++i) {
    if (exchangeable[i].inode == inode) own = &exchangeable[i];
  }
  Fresh now(fd, slot);
  if (own == nullptr || !now.is_sound()) return false;
  const uint32_t number = own->entry;
  const auto fits = [&](const wire::TableEntry& entry) {
    return is_bound_alike(entry, entry_at(number)) && entry.peer_port == peer.port &&
           is_same_place(peer, entry.peer_address, entry.peer_scope);
  };
  const auto give_back = [&](int, const wire::TableEntry&) {
    int given = fd;
    replay::undo_options(inode, fd);
    channel::ask(wire::Type::give_back, number, given);
    *own = exchangeable[--exchangeable_used];
  };
  return adopt_first(now, fd, fits, give_back);
}

}  // namespace

bool at_connect(int fd, FdSlot& slot, const sockaddr* address, socklen_t size) {
  const uint32_t flags = slot.flags.load(std::memory_order_relaxed);
  Endpoint peer(address, size);
  if (peer.family == AF_UNSPEC) return false;
  peer.name_loopback();
  if ((flags & kFdAdopted) != 0) {
    const Turn own_turn(turn);
    return is_connected_to(fd, peer) ||
           (is_pending() && (flags & kFdExchange) != 0 && exchange(fd, slot, peer));
  }
  if (!is_pending() || (flags & wire::kFdOriginKnown) == 0) return false;
  if ((flags & (wire::kFdBound | kFdConnected)) != 0) return false;
  const Turn own_turn(turn);
  Fresh fresh(fd, slot);
  if (!fresh.is_sound() || fresh.has_a_port()) return false;
  const auto fits = [&](const wire::TableEntry& entry) {
    return fresh.would_connect_as(entry, peer);
  };
  return adopt_first(fresh, fd, fits, [](int, const wire::TableEntry&) {});
}

bool give_port_up(int fd, const FdSlot& slot, const sockaddr* address, socklen_t size) {
  const uint32_t flags = slot.flags.load(std::memory_order_relaxed);
  const Endpoint wanted = Endpoint::to_bind(address, size, (flags & kFdIpv6) != 0);
  if (wanted.port == 0) return false;
  const Turn own_turn(turn);
  const Fresh fresh(fd, slot);
  const uint16_t protocol = (flags & kFdUdpLite) != 0 ? IPPROTO_UDPLITE : IPPROTO_UDP;
  bool given_up = false;
  for (uint32_t i = 0; i < table_entries; ++i) {
    const wire::TableEntry& entry = entry_at(i);
    if (!is_held(entry) || entry.actual_port != wanted.port || entry.protocol != protocol) continue;
    if (!fresh.is_in_namespace_of(entry)) continue;
    int none = -1;
    const int error = channel::ask(wire::Type::release, i, none);
    if (error != 0 && !is_refusal(error)) {
      give_up(error);
      return false;
    }
    given_up = true;
  }
  if (given_up) look_whether_any_is_left();
  return given_up;
}

uint32_t bind_flags(const FdSlot& slot, const sockaddr* address, socklen_t size) {
  const bool ipv6 = (slot.flags.load(std::memory_order_relaxed) & kFdIpv6) != 0;
  const Endpoint endpoint = Endpoint::to_bind(address, size, ipv6);
  uint32_t flags = wire::kFdBound;
  if (endpoint.port != 0) flags |= wire::kFdBoundPort;
  if (!endpoint.is_wildcard()) flags |= wire::kFdBoundAddress;
  return flags;
}

void reset_turn() { turn.store(false, std::memory_order_relaxed); }

}  // namespace udpcr::adopt
