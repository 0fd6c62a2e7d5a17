// SPDX-License-Identifier: LGPL-2.1-or-later
#include "adopt.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#include "channel.h"
#include "log.h"
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

// An address that the program gives to bind or connect.
struct Endpoint {
  uint16_t family = AF_UNSPEC;
  uint16_t port = 0;  // host order
  uint32_t scope = 0;
  uint8_t bytes[16] = {};

  Endpoint(const sockaddr* address, socklen_t size) {
    if (address == nullptr || size < sizeof address->sa_family) return;
    if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
      const auto* const v4 = reinterpret_cast<const sockaddr_in*>(address);
      family = AF_INET;
      port = ntohs(v4->sin_port);
      memcpy(bytes, &v4->sin_addr, sizeof v4->sin_addr);
    } else if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
      const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(address);
      family = AF_INET6;
      port = ntohs(v6->sin6_port);
      scope = v6->sin6_scope_id;
      memcpy(bytes, &v6->sin6_addr, sizeof v6->sin6_addr);
    }
  }

  [[nodiscard]] bool is_wildcard() const {
    for (const uint8_t byte : bytes) {
      if (byte != 0) return false;
    }
    return true;
  }

  // Connecting to the wildcard is connecting to loopback (net/ipv4/route.c,
  // net/ipv6/datagram.c, Linux 6.1).
  void name_loopback() {
    if (!is_wildcard()) return;
    if (family == AF_INET) {
      const uint32_t loopback = htonl(INADDR_LOOPBACK);
      memcpy(bytes, &loopback, sizeof loopback);
    } else {
      bytes[15] = 1;
    }
  }
};

bool is_same_place(const Endpoint& wanted, const uint8_t (&bytes)[16], uint32_t scope) {
  return memcmp(wanted.bytes, bytes, sizeof bytes) == 0 &&
         (wanted.scope == scope || wanted.scope == 0 || scope == 0);
}

const wire::TableEntry& entry_at(uint32_t number) { return table->entry[number]; }

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
    protocol_ = (flags & kFdUdpLite) != 0 ? IPPROTO_UDPLITE : IPPROTO_UDP;
    inode_ = slot.inode.load(std::memory_order_relaxed);
    socklen_t size = sizeof device_ - 1;
    if (sys::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device_, &size) != 0) device_[0] = '\0';
    size = sizeof netns_cookie_;
    sys::getsockopt(fd, SOL_SOCKET, kSoNetnsCookie, &netns_cookie_, &size);
  }

  // An entry that was closed behind our back is no socket of ours.
  [[nodiscard]] bool is_sound() const { return inode_of(fd_) == inode_; }

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
  bool make_way_for(int restored, const wire::TableEntry& entry) {
    // As this run has asked.
    const int file_flags = sys::fcntl(fd_, F_GETFL);
    const bool async = (file_flags & O_ASYNC) != 0 || (entry.flags & wire::kFdAsync) != 0;
    sys::fcntl(restored, F_SETFL, file_flags & ~O_ASYNC);
    copy_owner(restored);
    replay::set_options_again(inode_, fd_, restored);
    replay::leave_epolls(inode_);
    const uint64_t inode = inode_of(restored);
    const uint32_t origin =
        entry.flags & (wire::kFdBound | wire::kFdBoundPort | wire::kFdBoundAddress);
    bool placed = false;
    const auto place = [&](int fd, FdSlot& slot) {
      const int cloexec = sys::fcntl(fd, F_GETFD) == FD_CLOEXEC ? O_CLOEXEC : 0;
      // EBUSY: another thread is about to get this number (dup(2)).
      while (sys::dup3(restored, fd, cloexec) < 0) {
        if (errno != EINTR && errno != EBUSY) return;
      }
      // The signal names the number at which it was asked for (F_SETSIG).
      if (async && !placed) sys::fcntl(fd, F_SETFL, file_flags | O_ASYNC);
      placed = true;
      slot.flags.fetch_or(origin | kFdAdopted | (entry.peer_port != 0 ? kFdConnected : 0),
                          std::memory_order_relaxed);
      slot.inode.store(inode, std::memory_order_release);
    };
    FdSlot* const slot = fd_table.find(fd_);
    if (slot != nullptr && (slot->flags.load(std::memory_order_relaxed) & kFdShared) == 0) {
      place(fd_, *slot);
    } else {
      fd_table.each_of(inode_, place);
    }
    replay::join_epolls(inode_);
    replay::forget(inode_);
    recorded_options::move(inode_, inode);
    sys::close(restored);
    return placed;
  }

 private:
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
  Line line;
  line << "not restored: the keeper does not hand over a socket: " << strerrordesc_np(error)
       << "; the program goes on with fresh ones, restart it to try again";
  log_line(LogLevel::error, line);
  pending.store(false, std::memory_order_relaxed);
}

// The keeper's word that this entry is no more to be had: the next, then.
bool is_refusal(int error) { return error == EALREADY || error == ETIME || error == ENOENT; }

// The first entry that `fits`, in the order of the image: the same occurrence.
template <typename Fits>
bool adopt_first(Fresh& fresh, Fits fits) {
  for (uint32_t i = 0; i < table_entries && is_pending(); ++i) {
    const wire::TableEntry& entry = entry_at(i);
    if (!is_held(entry) || !fits(entry)) continue;
    int restored = -1;
    const int error = channel::ask(wire::Type::claim, i, restored);
    if (is_refusal(error)) continue;
    if (error != 0) {
      give_up(error);
      return false;
    }
    const bool placed = fresh.make_way_for(restored, entry);
    any_adopted.store(true, std::memory_order_relaxed);
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

}  // namespace

void open_table(int fd, uint32_t entries) {
  const KeepErrno keep;
  struct stat status {};
  const size_t size = sizeof(wire::Table) + entries * sizeof(wire::TableEntry);
  void* map = MAP_FAILED;
  if (sys::fstat(fd, &status) == 0 && static_cast<uint64_t>(status.st_size) >= size) {
    map = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  }
  sys::close(fd);
  if (map == MAP_FAILED || static_cast<wire::Table*>(map)->version != wire::kVersion) {
    Line line;
    line << "not restored: the keeper's table of " << entries
         << " sockets cannot be used; install shim and tool from the same release";
    return log_line(LogLevel::error, line);
  }
  table = static_cast<const wire::Table*>(map);
  table_entries = entries;
  pending.store(entries > 0, std::memory_order_release);
}

bool at_bind(int fd, FdSlot& slot, const sockaddr* address, socklen_t size) {
  const uint32_t flags = slot.flags.load(std::memory_order_relaxed);
  if ((flags & wire::kFdOriginKnown) == 0) return false;
  if ((flags & (wire::kFdBound | kFdConnected)) != 0) return false;
  const Turn own_turn(turn);
  const Endpoint wanted(address, size);
  Fresh fresh(fd, slot);
  if (wanted.family == AF_UNSPEC || !fresh.is_sound()) return false;
  // A listener before the sockets that it has connected on the same port.
  for (const bool connected : {false, true}) {
    const auto fits = [&](const wire::TableEntry& entry) {
      return (entry.peer_port != 0) == connected && fresh.would_bind_as(entry, wanted);
    };
    if (adopt_first(fresh, fits)) return true;
  }
  return false;
}

bool at_connect(int fd, FdSlot& slot, const sockaddr* address, socklen_t size) {
  const uint32_t flags = slot.flags.load(std::memory_order_relaxed);
  Endpoint peer(address, size);
  if (peer.family == AF_UNSPEC) return false;
  peer.name_loopback();
  if ((flags & kFdAdopted) != 0) {
    const KeepErrno keep;
    return is_connected_to(fd, peer);
  }
  if (!is_pending() || (flags & wire::kFdOriginKnown) == 0) return false;
  if ((flags & (wire::kFdBound | kFdConnected)) != 0) return false;
  const Turn own_turn(turn);
  Fresh fresh(fd, slot);
  return fresh.is_sound() && adopt_first(fresh, [&](const wire::TableEntry& entry) {
           return fresh.would_connect_as(entry, peer);
         });
}

bool give_port_up(int fd, const FdSlot& slot, const sockaddr* address, socklen_t size) {
  const Endpoint wanted(address, size);
  if (wanted.port == 0) return false;
  const Turn own_turn(turn);
  const Fresh fresh(fd, slot);
  const uint16_t protocol = (slot.flags.load(std::memory_order_relaxed) & kFdUdpLite) != 0
                                ? IPPROTO_UDPLITE
                                : IPPROTO_UDP;
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

uint32_t bind_flags(const sockaddr* address, socklen_t size) {
  const Endpoint endpoint(address, size);
  uint32_t flags = wire::kFdBound;
  if (endpoint.port != 0) flags |= wire::kFdBoundPort;
  if (!endpoint.is_wildcard()) flags |= wire::kFdBoundAddress;
  return flags;
}

void reset_turn() { turn.store(false, std::memory_order_relaxed); }

}  // namespace udpcr::adopt
