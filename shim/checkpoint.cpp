// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checkpoint.h"

#include <atomic>

#include "channel.h"
#include "fd_table.h"
#include "handler_stack.h"
#include "log.h"
#include "own_fds.h"
#include "park.h"
#include "recorded_options.h"
#include "session.h"
#include "sys.h"

namespace udpcr::checkpoint {

namespace {

// Every fd below is looked at.  40 microseconds, by poll(2): fstat(2) of each
// would take ten times as long.
constexpr uint32_t kScanTo = 4096;
constexpr int kPolledAtOnce = 256;
// Flags that are true of all its fds.
constexpr uint32_t kFdOfSocket = kFdWireFlags & ~wire::kFdCloexec;

// Epoch + 1 of the checkpoint that this process has sent its fds for; 0: none.
constinit std::atomic<uint64_t> sent_for = 0;
// Every fd below was looked at for it.
constinit std::atomic<uint32_t> sent_to = 0;
// One sender at a time: what runs on the handler's own stack.
constinit wire::FdEntry entries[wire::kFdsPerPart] = {};
constinit int fds[wire::kMaxFds] = {};
constinit pollfd polled[kPolledAtOnce] = {};

class Sender {
 public:
  Sender(uint32_t epoch, uint32_t first) : epoch_(epoch), scanned_(first) {}

  // 0 or errno.  Sockets may have come by calls that nobody interposes
  // (SCM_RIGHTS, pidfd_getfd, raw system calls), so all are looked at.
  int send_all() {
    const auto known = static_cast<uint32_t>(fd_table.end());
    uint32_t end = __atomic_load_n(&channel::page()->scan_to, __ATOMIC_RELAXED);
    if (end < kScanTo) end = kScanTo;
    if (end < known) end = known;
    if (end > static_cast<uint32_t>(FdTable::kMostFds)) end = FdTable::kMostFds;
    const bool again = scanned_ > 0;
    int error = 0;
    while (scanned_ < end && error == 0) error = send_some(end);
    if (error == 0 && !again) error = recorded_options::each(send_option, this);
    if (error != 0) return error;
    sent_to.store(scanned_, std::memory_order_relaxed);
    return send_part(true);
  }

 private:
  int send_some(uint32_t end) {
    const uint32_t left = end - scanned_;
    const int count = left < kPolledAtOnce ? static_cast<int>(left) : kPolledAtOnce;
    for (int i = 0; i < count; ++i) polled[i] = {static_cast<int>(scanned_) + i, 0, 0};
    // EINVAL: more than RLIMIT_NOFILE allows.
    const bool known = sys::poll(polled, static_cast<nfds_t>(count), 0) >= 0;
    for (int i = 0; i < count; ++i) {
      const bool is_open = !known || (polled[i].revents & POLLNVAL) == 0;
      const int error = is_open ? send_if_socket(polled[i].fd) : 0;
      if (error != 0) return error;
    }
    scanned_ += static_cast<uint32_t>(count);
    return 0;
  }

  int send_if_socket(int fd) {
    struct stat status {};
    if (own_fds::is_own(fd)) return 0;
    // Closed by another thread; any other failure does not say that it is none.
    if (sys::fstat(fd, &status) != 0) return errno == EBADF ? 0 : errno;
    if (!S_ISSOCK(status.st_mode)) return 0;
    const FdSlot* const slot = fd_table.find(fd);
    // Closed behind our back, it may be another one.
    const bool is_known =
        slot != nullptr && slot->inode.load(std::memory_order_relaxed) == status.st_ino;
    uint32_t flags = is_known ? slot->flags.load(std::memory_order_relaxed) & kFdWireFlags
                              : fd_table.flags_of_forgotten(status.st_ino) & kFdOfSocket;
    if (!is_known && flags == 0) flags = wire::kFdUnseen;
    entries[count_] = {fd, flags, status.st_ino};
    fds[count_++] = fd;
    return count_ == wire::kFdsPerPart ? send_part(false) : 0;
  }

  int send_part(bool last) {
    for (;;) {
      wire::CheckpointMessage message{
          {wire::Type::checkpoint, wire::kVersion}, epoch_, count_, last ? 1U : 0U, 0, scanned_};
      unsigned fd_count = count_;
      if (last && stderr_is_the_same()) {
        message.has_stderr = 1;
        fds[fd_count++] = STDERR_FILENO;
      }
      const iovec pieces[] = {{&message, sizeof message}, {entries, count_ * sizeof entries[0]}};
      const int error = channel::send(pieces, 2, fds, fd_count);
      // Another thread has closed one meanwhile: the rest goes without it.
      if (error == EBADF && drop_closed()) continue;
      count_ = 0;
      return error;
    }
  }

  static int send_option(void* self, const wire::RecordedOption& option, const void* value) {
    wire::OptionMessage message{
        {wire::Type::option, wire::kVersion}, static_cast<Sender*>(self)->epoch_, option};
    const iovec pieces[] = {{&message, sizeof message}, {const_cast<void*>(value), option.size}};
    return channel::send(pieces, 2, nullptr, 0);
  }

  bool drop_closed() {
    unsigned kept = 0;
    for (unsigned i = 0; i < count_; ++i) {
      if (!has_inode(entries[i].fd, entries[i].inode)) continue;
      entries[kept] = entries[i];
      fds[kept++] = entries[i].fd;
    }
    const bool any = kept < count_;
    count_ = kept;
    return any;
  }

  uint32_t epoch_;
  unsigned count_ = 0;
  uint32_t scanned_;
};

void say_that_it_has_ended(void*) {
  log_line(LogLevel::error,
           "no checkpoint is made: the keeper has ended, it was killed or failed; the program goes "
           "on, restart it to have a keeper again");
}

void say_that_it_was_given_up(void*) {
  log_line(
      LogLevel::error,
      "no checkpoint is made: the keeper was given up; the program goes on, restart it to have "
      "a keeper again");
}

void say_that_it_has_not_begun(void*) {
  log_line(LogLevel::error,
           "no checkpoint is made: the keeper, which lives, has not begun it within a minute; the "
           "program goes on, try again");
}

void say_that_there_is_none(void*) {
  log_line(LogLevel::warn,
           session::has_failed()
               ? "no checkpoint is made: this program has no keeper, it could not be started; "
                 "start the program with `udpcr run -- PROGRAM`"
               : "nothing to checkpoint: the program has opened no UDP socket by a call that udpcr "
                 "sees; `udpcr check -- PROGRAM` tells whether there are others");
}

// Not on the handler's own stack, which may be in use by whom we share it with.
[[gnu::noinline]] void say_whose_memory_it_is() {
  Line line;
  line << "no checkpoint is made: process " << sys::getpid()
       << (is_unnoticed_copy() ? " was made by a system call that udpcr did not see"
                               : " shares the memory of its parent")
       << "; send the signal to its parent";
  log_line(LogLevel::warn, line);
}

struct Share {
  uint32_t epoch;
  uint32_t first;  // fd
  bool failed;     // it could not be sent
};

// Looks at the fds from the first on, and sends.
void send_share(void* of) {
  Share& share = *static_cast<Share*>(of);
  const int error = Sender(share.epoch, share.first).send_all();
  // Where the keeper has ended, the wait finds out; where it was given up, that was said.
  if (error == 0 || error == EPIPE || error == ECONNRESET || error == ESHUTDOWN) return;
  share.failed = true;
  Line line;
  line << "no checkpoint is made: the sockets cannot be sent to the keeper: "
       << strerrordesc_np(error)
       << (error == ETOOMANYREFS ? "; raise RLIMIT_NOFILE (ulimit -n)" : "; try again");
  log_line(LogLevel::error, line);
}

enum class Sent { by_another, by_us, not_at_all };

// Of several threads one sends.
Sent send_once(uint32_t epoch) {
  uint64_t before = sent_for.load(std::memory_order_relaxed);
  const uint64_t mine = uint64_t{epoch} + 1;
  if (before == mine || !sent_for.compare_exchange_strong(before, mine)) return Sent::by_another;
  sent_to.store(0, std::memory_order_relaxed);
  Share all{epoch, 0, false};
  if (!handler_stack::run(send_share, &all)) return Sent::by_another;
  return all.failed ? Sent::not_at_all : Sent::by_us;
}

uint32_t load(const uint32_t& word) { return __atomic_load_n(&word, __ATOMIC_SEQ_CST); }

bool is_freezing(const wire::SharedPage& page) {
  wire::PageState state{};
  __atomic_load(&page.state, &state, __ATOMIC_SEQ_CST);
  return state == wire::PageState::freezing;
}

void say_it(void*) { channel::say_that_it_is_given_up(); }

// Where another thread is about to send, it sees the page and does not do so for long.
void give_up(uint32_t epoch) {
  constexpr int kPauseMs = 10;
  if (channel::give_up(epoch) != channel::GivingUp::first) return;
  while (!handler_stack::run(say_it, nullptr)) sys::poll_once(nullptr, 0, kPauseMs);
}

// False: the keeper has ended.  One that is given up ends the epoch for all.
bool await_end_of(uint32_t epoch, wire::SharedPage& page, bool sender) {
  // An earlier checkpoint may have to wait for a disk.
  constexpr int kMostIdle = 60'000 / wire::kSliceMs;
  int idle = 0;
  bool keeper_lives = true;
  Patience patience(Patience::kNoLimit);
  __atomic_fetch_add(&page.parked[wire::parked_index(epoch)], 1, __ATOMIC_SEQ_CST);
  while (load(page.epoch) == epoch && !channel::is_given_up()) {
    const bool slept = sys::futex_wait(&page.epoch, epoch, wire::kSliceMs);
    if (load(page.epoch) != epoch) break;
    keeper_lives = !channel::has_ended();
    if (!keeper_lives) break;
    if (slept && !patience.go_on()) give_up(epoch);
    // What it was asked for has not come to it.
    if (slept && !is_freezing(page) && ++idle == kMostIdle) {
      sent_for.store(0, std::memory_order_relaxed);
      if (sender) handler_stack::run(say_that_it_has_not_begun, nullptr);
      break;
    }
    const uint32_t sent = sent_to.load(std::memory_order_relaxed);
    Share rest{epoch, sent, false};
    if (sender && sent > 0 && load(page.scan_to) > sent) handler_stack::run(send_share, &rest);
  }
  __atomic_fetch_sub(&page.parked[wire::parked_index(epoch)], 1, __ATOMIC_SEQ_CST);
  return keeper_lives;
}

void take_part(uint32_t epoch) {
  if (!is_own_process()) return;
  wire::SharedPage& page = *channel::page();
  const Sent sent = send_once(epoch);
  // The keeper does not know that anybody waits for it.
  if (sent == Sent::not_at_all && !is_freezing(page)) {
    sent_for.store(0, std::memory_order_relaxed);
    return;
  }
  const bool sender = sent != Sent::by_another;
  if (await_end_of(epoch, page, sender)) {
    if (wire::tells_to_exit(load(page.epoch))) sys::exit_group(0);
    park::mark_all_if_parked();
    return;
  }
  sent_for.store(0, std::memory_order_relaxed);
  if (sender) handler_stack::run(say_that_it_has_ended, nullptr);
}

}  // namespace

void take_part_if_freezing() {
  const wire::SharedPage* const page = channel::page();
  if (page == nullptr || channel::is_given_up()) return;
  if (!is_freezing(*page)) return;
  const KeepErrno keep;
  take_part(load(page->epoch));
}

void request() {
  if (!is_own_process()) return say_whose_memory_it_is();
  const wire::SharedPage* const page = channel::page();
  if (page == nullptr) {
    handler_stack::run(say_that_there_is_none, nullptr);
    return;
  }
  if (channel::is_given_up()) {
    handler_stack::run(say_that_it_was_given_up, nullptr);
    return;
  }
  take_part(load(page->epoch));
}

void forget_what_was_sent() {
  sent_for.store(0, std::memory_order_relaxed);
  handler_stack::reset();
}

}  // namespace udpcr::checkpoint
