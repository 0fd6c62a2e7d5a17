// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A socket's life: made, named, set up.
#include <netinet/in.h>

#include "adopt.h"
#include "earlier_run.h"
#include "endpoint.h"
#include "fd_table.h"
#include "fork.h"
#include "interpose.h"
#include "joined_groups.h"
#include "libc.h"
#include "own_fds.h"
#include "park.h"
#include "recorded_options.h"
#include "replay.h"
#include "session.h"
#include "sys.h"

using udpcr::fd_table;
using udpcr::FdSlot;
using udpcr::libc;
using udpcr::own_fds::bad_fd;
using udpcr::own_fds::hidden;
using udpcr::own_fds::is_own;
namespace adopt = udpcr::adopt;
namespace park = udpcr::park;
namespace replay = udpcr::replay;
namespace wire = udpcr::wire;

namespace {

constexpr int kTypeMask = 0xf;  // SOCK_TYPE_MASK of include/linux/net.h, Linux 6.1

bool makes_udp(int domain, int type, int protocol) {
  return (domain == AF_INET || domain == AF_INET6) && (type & kTypeMask) == SOCK_DGRAM &&
         (protocol == 0 || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE);
}

bool may_be_exchanged(const FdSlot& slot) {
  return (slot.flags.load(std::memory_order_relaxed) & udpcr::kFdExchange) != 0;
}

// Until no restored socket can take its place any more, what is done to it is
// recorded.
bool may_be_adopted(const FdSlot& slot) {
  constexpr uint32_t kMask =
      wire::kFdOriginKnown | wire::kFdBound | udpcr::kFdConnected | udpcr::kFdAdopted;
  const uint32_t flags = slot.flags.load(std::memory_order_relaxed);
  return (flags & kMask) == wire::kFdOriginKnown || may_be_exchanged(slot);
}

// The child of vfork takes nothing: its fds are not those of the table.
bool may_adopt() {
  return (adopt::is_pending() || adopt::any_adopted.load(std::memory_order_relaxed)) &&
         udpcr::is_own_process();
}

// A socket that came unseen and has no name yet is as good as a fresh one, if
// all fds that have it are known.
void learn_origin(FdSlot& slot) {
  const udpcr::KeepErrno keep;
  const uint64_t inode = slot.inode.load(std::memory_order_relaxed);
  for (int fd = 0; fd < udpcr::FdTable::kChunkSize; ++fd) {
    if (!is_own(fd) && udpcr::inode_of(fd) == inode) udpcr::find_or_track(fd);
  }
  fd_table.each_of(inode, [](int, FdSlot& one) {
    one.flags.fetch_or(wire::kFdOriginKnown, std::memory_order_relaxed);
  });
}

bool has_no_name(int fd) {
  const udpcr::KeepErrno keep;
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  // The port has the same place in both families.
  return syscall(SYS_getsockname, fd, &name, &size) == 0 &&
         reinterpret_cast<const sockaddr_in*>(&name)->sin_port == 0;
}

}  // namespace

UDPCR_EXPORT int socket(int domain, int type, int protocol) noexcept {
  udpcr::notice_copy();
  const bool udp = makes_udp(domain, type, protocol);
  if (udp) udpcr::session::ensure_keeper();
  int fd = libc().socket(domain, type, protocol);
  if (fd < 0) return fd;
  fd = udpcr::own_fds::without_ours(fd, 0);
  if (park::is_on()) park::number_was_free(fd);
  if (!udp) {
    fd_table.forget(fd);
    return fd;
  }
  const uint64_t inode = udpcr::inode_of(fd);
  // The number of a socket that is gone.
  if (adopt::is_pending()) replay::forget_socket(inode);
  if (adopt::any_adopted.load(std::memory_order_relaxed)) udpcr::joined_groups::forget(inode);
  udpcr::recorded_options::forget(inode);
  fd_table.track(fd, inode,
                 wire::kFdOriginKnown | ((type & SOCK_CLOEXEC) != 0 ? wire::kFdCloexec : 0) |
                     (domain == AF_INET6 ? udpcr::kFdIpv6 : 0) |
                     (protocol == IPPROTO_UDPLITE ? udpcr::kFdUdpLite : 0));
  return fd;
}

UDPCR_EXPORT int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  udpcr::notice_copy();
  if (is_own(fd)) return bad_fd();
  FdSlot* const slot = udpcr::find_or_track(fd);
  if (slot == nullptr) return libc().bind(fd, address, size);
  udpcr::session::ensure_keeper();
  const bool pending = adopt::is_pending() && may_adopt();
  const uint32_t flags = slot->flags.load(std::memory_order_relaxed);
  if ((flags & (wire::kFdOriginKnown | udpcr::kFdConnected)) == 0 && has_no_name(fd)) {
    learn_origin(*slot);
  }
  if (pending && adopt::at_bind(fd, *slot, address, size)) return 0;
  const int errno_before = errno;
  int result = libc().bind(fd, address, size);
  if (result < 0 && pending && errno == EADDRINUSE &&
      adopt::give_port_up(fd, *slot, address, size)) {
    errno = errno_before;
    result = libc().bind(fd, address, size);
  }
  if (result < 0 && park::is_on() && errno == EADDRINUSE &&
      park::give_port_up(adopt::Endpoint(address, size).port)) {
    errno = errno_before;
    result = libc().bind(fd, address, size);
  }
  for (udpcr::EarlierRun earlier; result < 0 && errno == EADDRINUSE && earlier.is_closing();) {
    errno = errno_before;
    result = libc().bind(fd, address, size);
  }
  if (result != 0) return result;
  fd_table.change_socket_flags(fd, adopt::bind_flags(*slot, address, size), 0);
  if (park::is_on()) park::keep(fd);
  return result;
}

UDPCR_EXPORT int connect(int fd, const sockaddr* address, socklen_t size) {
  udpcr::notice_copy();
  if (is_own(fd)) return bad_fd();
  FdSlot* const slot = udpcr::find_or_track(fd);
  if (slot == nullptr) return libc().connect(fd, address, size);
  udpcr::session::ensure_keeper();
  const uint32_t flags = slot->flags.load(std::memory_order_relaxed);
  if (may_adopt() && adopt::at_connect(fd, *slot, address, size)) return 0;
  const int result = libc().connect(fd, address, size);
  if (result == 0) {
    const bool dissolves = address->sa_family == AF_UNSPEC;
    fd_table.change_socket_flags(fd, dissolves ? 0 : udpcr::kFdConnected,
                                 dissolves ? udpcr::kFdConnected : 0);
    if (park::is_on() && !dissolves && (flags & (wire::kFdBound | udpcr::kFdParked)) == 0) {
      park::keep(fd);
    }
  }
  return result;
}

UDPCR_EXPORT int setsockopt(int fd, int level, int name, const void* value,
                            socklen_t size) noexcept {
  udpcr::notice_copy();
  if (is_own(fd)) return bad_fd();
  const int errno_before = errno;
  const FdSlot* slot = fd_table.find(fd);
  replay::Before before{false, 0};
  if (slot != nullptr && adopt::is_pending() && may_be_exchanged(*slot)) {
    before = replay::read_before(fd, level, name);
  }
  int result = libc().setsockopt(fd, level, name, value, size);
  if (slot == nullptr && result == 0 && udpcr::recorded_options::concerns(level, name)) {
    slot = udpcr::find_or_track(fd);
  }
  if (slot == nullptr) return result;
  const uint64_t inode = slot->inode.load(std::memory_order_relaxed);
  if ((slot->flags.load(std::memory_order_relaxed) & udpcr::kFdAdopted) != 0) {
    const int error = result == 0 ? 0 : errno;
    if (udpcr::joined_groups::answer(inode, level, name, value, size, error) == 0) {
      result = 0;
      errno = errno_before;
    }
  }
  if (result == 0) {
    udpcr::recorded_options::note(inode, level, name, value, size);
    if (adopt::is_pending() && may_be_adopted(*slot)) {
      replay::record_option(inode, level, name, value, size, before);
    }
  }
  return result;
}

UDPCR_EXPORT int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  if (is_own(epoll) || is_own(fd))
    return libc().epoll_ctl(hidden(epoll), operation, hidden(fd), event);
  const int result = libc().epoll_ctl(epoll, operation, fd, event);
  if (result != 0 || !adopt::is_pending()) return result;
  const FdSlot* const slot = fd_table.find(fd);
  if (slot != nullptr && may_be_adopted(*slot)) {
    replay::record_epoll(slot->inode.load(std::memory_order_relaxed), epoll, operation, fd, event);
  }
  return result;
}
