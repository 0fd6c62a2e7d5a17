// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fds: closed, copied, marked.  Ours do not exist for the program.
#include <linux/close_range.h>
#include <stdarg.h>

#include "adopt.h"
#include "fd_table.h"
#include "fork.h"
#include "interpose.h"
#include "libc.h"
#include "own_fds.h"
#include "park.h"
#include "replay.h"
#include "sys.h"

using udpcr::fd_table;
using udpcr::FdSlot;
using udpcr::libc;
using udpcr::own_fds::bad_fd;
using udpcr::own_fds::hidden;
namespace own_fds = udpcr::own_fds;
namespace park = udpcr::park;

namespace {

// What was recorded of the socket, if this is its last fd.
void forget_records(const FdSlot& slot) {
  if (!udpcr::adopt::is_pending() || !udpcr::is_own_process()) return;
  if ((slot.flags.load(std::memory_order_relaxed) & udpcr::kFdShared) != 0) return;
  udpcr::replay::forget_socket(slot.inode.load(std::memory_order_relaxed));
}

// Before the call: as soon as it is done another thread may get the number.
// Returns for park::closed().
uint64_t forget(int fd) {
  const FdSlot* const slot = fd_table.find(fd);
  if (slot == nullptr) return 0;
  const uint64_t inode = slot->inode.load(std::memory_order_relaxed);
  forget_records(*slot);
  fd_table.forget(fd);
  return park::is_on() ? park::parked_inode(*slot, inode) : 0;
}

// Before `fd` is copied over.
uint64_t parked_inode(int fd) { return park::is_on() ? park::parked_inode(fd) : 0; }

// F_DUPFD_QUERY of include/uapi/linux/fcntl.h, since Linux 6.10.
constexpr int kDupFdQuery = 1027;

using Fcntl = int (*)(int fd, int command, ...);

int do_fcntl(Fcntl real, int fd, int command, void* argument) {
  udpcr::notice_copy();
  if (own_fds::is_own(fd)) return bad_fd();
  if (command == kDupFdQuery && own_fds::is_own(static_cast<int>(intptr_t(argument)))) {
    argument = reinterpret_cast<void*>(intptr_t{-1});
  }
  int result = real(fd, command, argument);
  if (result < 0) return result;
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      result =
          own_fds::without_ours(result, static_cast<int>(reinterpret_cast<intptr_t>(argument)));
      fd_table.copy(fd, result, command == F_DUPFD_CLOEXEC);
      break;
    case F_SETFD:
      fd_table.set_cloexec(fd, (reinterpret_cast<intptr_t>(argument) & FD_CLOEXEC) != 0);
      break;
    default:
      break;
  }
  return result;
}

// Calls `close_piece(first, last)` for what lies between ours, until one fails.
template <typename ClosePiece>
int close_around_ours(unsigned first, unsigned last, ClosePiece close_piece) {
  for (;;) {
    const int own = own_fds::lowest_from(first);
    if (own < 0 || static_cast<unsigned>(own) > last) return close_piece(first, last);
    const auto place = static_cast<unsigned>(own);
    if (place > first) {
      const int result = close_piece(first, place - 1);
      if (result != 0) return result;
    }
    if (place == last) return 0;
    first = place + 1;
  }
}

}  // namespace

// One who closes ours has its number from /proc/self/fd, and may give up when
// that fails (libdaemon's daemon_close_all).
UDPCR_EXPORT int close(int fd) {
  udpcr::notice_copy();
  if (own_fds::is_own(fd)) return 0;
  const uint64_t parked = forget(fd);
  const int result = libc().close(fd);
  if (parked != 0) park::closed(parked);
  return result;
}

// Called as syscall(SYS_close, fd): no cancellation point (libuv).
extern "C" long udpcr_close_by_number(long /*number*/, int fd) {
  udpcr::notice_copy();
  const uint64_t parked = forget(fd);
  const int result = udpcr::sys::close(fd);
  if (parked != 0) park::closed(parked);
  return result;
}

UDPCR_EXPORT int dup(int fd) noexcept {
  udpcr::notice_copy();
  if (own_fds::is_own(fd)) return bad_fd();
  int copy = libc().dup(fd);
  if (copy < 0) return copy;
  copy = own_fds::without_ours(copy, 0);
  fd_table.copy(fd, copy, false);
  return copy;
}

UDPCR_EXPORT int dup2(int from, int to) noexcept {
  udpcr::notice_copy();
  if (own_fds::is_own(from)) return bad_fd();
  const bool moved = own_fds::make_way(to);
  const uint64_t parked = parked_inode(to);
  const int copy = libc().dup2(hidden(from), to);
  if (copy >= 0 && from != to) fd_table.copy(from, to, false);
  if (copy >= 0 && parked != 0) park::closed(parked);
  if (copy < 0 && moved) own_fds::move_back(to);
  return copy;
}

UDPCR_EXPORT int dup3(int from, int to, int flags) noexcept {
  udpcr::notice_copy();
  // For one that does not exist.
  if (own_fds::is_own(from)) return libc().dup3(from == to ? to : -1, to, flags);
  const bool moved = own_fds::make_way(to);
  const uint64_t parked = parked_inode(to);
  const int copy = libc().dup3(hidden(from), to, flags);
  if (copy >= 0) fd_table.copy(from, to, (flags & O_CLOEXEC) != 0);
  if (copy >= 0 && parked != 0) park::closed(parked);
  if (copy < 0 && moved) own_fds::move_back(to);
  return copy;
}

UDPCR_EXPORT int fcntl(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  return do_fcntl(libc().fcntl, fd, command, argument);
}

UDPCR_EXPORT int fcntl64(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  return do_fcntl(libc().fcntl64, fd, command, argument);
}

UDPCR_EXPORT int close_range(unsigned first, unsigned last, int flags) noexcept {
  udpcr::notice_copy();
  if ((static_cast<unsigned>(flags) & CLOSE_RANGE_CLOEXEC) != 0) {
    const int result = libc().close_range(first, last, flags);
    if (result == 0) fd_table.set_cloexec_range(first, last);
    return result;
  }
  const bool unshares = flags == static_cast<int>(CLOSE_RANGE_UNSHARE);
  if (first > last || (flags != 0 && !unshares)) return libc().close_range(first, last, flags);
  const bool parked = park::is_on() && park::is_any_parked(first, last);
  const int result = close_around_ours(first, last, [flags, unshares](unsigned from, unsigned to) {
    const int piece = libc().close_range(from, to, flags);
    // Other threads may keep theirs.
    if (piece == 0 && !unshares) fd_table.forget_range(from, to);
    return piece;
  });
  if (parked) park::closed_many();
  return result;
}

namespace {

void close_from(unsigned first) {
  if (own_fds::lowest_from(first) < 0) {
    libc().closefrom(static_cast<int>(first));
    return;
  }
  const udpcr::KeepErrno keep;
  const int result = close_around_ours(first, ~0U, [](unsigned from, unsigned to) {
    return static_cast<int>(udpcr::syscall(SYS_close_range, from, to, 0));
  });
  if (result == 0) return;
  // Before Linux 5.9.
  for (long fd = static_cast<long>(first); fd < sysconf(_SC_OPEN_MAX); ++fd) {
    if (!own_fds::is_own(static_cast<int>(fd))) udpcr::sys::close(static_cast<int>(fd));
  }
}

}  // namespace

UDPCR_EXPORT void closefrom(int lowest) noexcept {
  udpcr::notice_copy();
  const unsigned first = lowest < 0 ? 0 : static_cast<unsigned>(lowest);
  const bool parked = park::is_on() && park::is_any_parked(first, ~0U);
  fd_table.forget_range(first, ~0U);
  close_from(first);
  if (parked) park::closed_many();
}
