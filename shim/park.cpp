// SPDX-License-Identifier: LGPL-2.1-or-later
#include "park.h"

#include "adopt.h"
#include "channel.h"
#include "log.h"
#include "sys.h"
#include "turn.h"

namespace udpcr::park {

namespace {

// Sockets are parked as soon as they have a name.
constinit std::atomic<bool> from_bind_on = false;
// The keeper does not answer: said once, and nobody is asked any more.
constinit std::atomic<bool> given_up = false;

bool is_parked(const FdSlot& slot) {
  return (slot.flags.load(std::memory_order_relaxed) & kFdParked) != 0;
}

// The child of vfork has fds of its own, and must not wait for anyone.
bool may_talk() {
  return !given_up.load(std::memory_order_relaxed) && channel::is_open() &&
         !channel::is_given_up() && is_own_process();
}

// For the keeper's end: what it has kept is closed on its way out, behind its
// channel.
constexpr int kEndMs = 100;

bool has_ended(int error) { return error == EPIPE || error == ECONNRESET; }

void give_up(int error) {
  // ESHUTDOWN: said for all that it does.
  if (given_up.exchange(true) || error == ESHUTDOWN) return;
  if (has_ended(error)) sys::poll(nullptr, 0, kEndMs);
  Line line;
  line << "sockets are not parked any more: the keeper ";
  if (has_ended(error)) {
    line << "has ended, it was killed or failed";
  } else {
    line << "gives no answer (" << strerrordesc_np(error) << ')';
  }
  line << "; the program goes on, restart it to have a keeper again";
  log_line(LogLevel::error, line);
}

template <typename Question>
bool ask(const Question& question) {
  const Turn own_turn(adopt::turn);
  const int error = channel::ask(question);
  if (error == 0) return true;
  give_up(error);
  return false;
}

bool sweep(bool executes, uint16_t port) {
  return ask(wire::SweepMessage{{wire::Type::sweep, wire::kVersion}, executes ? 1U : 0U, port});
}

// 0 or errno.
int send(int fd, const FdSlot& slot, uint64_t inode) {
  wire::ParkMessage message{{wire::Type::park, wire::kVersion},
                            {fd, slot.flags.load(std::memory_order_relaxed) & kFdWireFlags, inode}};
  const iovec piece{&message, sizeof message};
  const int error = channel::send(&piece, 1, &fd, 1);
  // Another thread has closed it meanwhile.
  if (error == 0 || error == EBADF) return 0;
  if (has_ended(error) || error == ESHUTDOWN) {
    give_up(error);
    return error;
  }
  Line line;
  line << "not parked: fd " << fd << " cannot be sent to the keeper: " << strerrordesc_np(error)
       << (error == ETOOMANYREFS ? "; raise RLIMIT_NOFILE (ulimit -n)" : "");
  log_line(LogLevel::error, line);
  return error;
}

bool has_other_fd(uint64_t inode) {
  bool has = false;
  fd_table.each_of(inode, [&](int fd, FdSlot&) { has = has || has_inode(fd, inode); });
  return has;
}

}  // namespace

void begin(ParkMode mode) {
  if (mode != ParkMode::always) return;
  from_bind_on.store(true, std::memory_order_relaxed);
  on.store(true, std::memory_order_relaxed);
}

void mark_all_if_parked() {
  if (__atomic_load_n(&channel::page()->parking, __ATOMIC_ACQUIRE) == 0) return;
  on.store(true, std::memory_order_relaxed);
  fd_table.each([](int, FdSlot& slot) {
    slot.flags.fetch_or(kFdParked, std::memory_order_relaxed);
    return true;
  });
}

// Whoever closes it forgets its slot, then looks for the mark: either it finds
// the mark, or we find that it was forgotten.
void keep(int fd) {
  if (!from_bind_on.load(std::memory_order_relaxed) || !may_talk()) return;
  const KeepErrno keep_errno;
  FdSlot* const slot = fd_table.find(fd);
  if (slot == nullptr) return;
  const uint64_t inode = slot->inode.load(std::memory_order_relaxed);
  const uint32_t flags = slot->flags.load(std::memory_order_relaxed);
  if ((flags & wire::kFdOriginKnown) == 0) return;
  fd_table.change_socket_flags(fd, kFdParked, 0);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (slot->inode.load(std::memory_order_relaxed) != inode) return;
  if (send(fd, *slot, inode) != 0) fd_table.change_socket_flags(fd, 0, kFdParked);
}

uint64_t parked_inode(const FdSlot& slot, uint64_t inode) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return is_parked(slot) ? inode : 0;
}

uint64_t parked_inode(int fd) {
  const FdSlot* const slot = fd_table.find(fd);
  if (slot == nullptr || !is_parked(*slot)) return 0;
  return slot->inode.load(std::memory_order_relaxed);
}

// Looked for afterwards: of two threads that close its last two fds, one finds
// none.
void closed(uint64_t inode) {
  if (inode == 0 || !may_talk()) return;
  const KeepErrno keep;
  if (has_other_fd(inode)) return;
  ask(wire::UnparkMessage{{wire::Type::unpark, wire::kVersion}, inode});
}

bool is_any_parked(unsigned first, unsigned last) {
  bool any = false;
  fd_table.each([&](int fd, const FdSlot& slot) {
    if (static_cast<unsigned>(fd) > last) return false;
    any = static_cast<unsigned>(fd) >= first && is_parked(slot);
    return !any;
  });
  return any;
}

void closed_many() {
  if (may_talk()) sweep(false, 0);
}

void number_was_free(int fd) { closed(parked_inode(fd)); }

bool give_port_up(uint16_t port) { return is_on() && may_talk() && sweep(false, port); }

Executing::Executing() {
  if (is_on() && is_any_parked(0, ~0U) && may_talk()) released_ = sweep(true, 0);
}

Executing::~Executing() {
  if (!released_ || !may_talk()) return;
  const KeepErrno keep;
  fd_table.each([](int fd, FdSlot& slot) {
    const uint64_t inode = slot.inode.load(std::memory_order_relaxed);
    return !is_parked(slot) || !has_inode(fd, inode) || send(fd, slot, inode) == 0;
  });
}

}  // namespace udpcr::park
