// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checkpoint.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "fd_table.h"
#include "log.h"
#include "shim.h"

namespace udpcr {

namespace {

// How often a waiting handler looks whether the keeper still lives.
constexpr long kLookNs = 100'000'000;

// Number of the last checkpoint that this process has sent its fds for, plus
// one.  Whoever moves it on owns the buffers below.
std::atomic<uint32_t> sent_for;

wire::FdEntry entries[wire::kFdsPerPart];
int fds[wire::kFdsPerPart + 1];

bool still_the_socket(int fd, uint64_t inode) {
  struct stat status;
  return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_ino == inode;
}

int send_part(uint32_t epoch, unsigned count, bool last) {
  wire::CheckpointMessage message{};
  message.header = {wire::Type::checkpoint, wire::kVersion};
  message.epoch = epoch;
  message.count = count;
  message.last = last ? 1 : 0;
  if (last && log_stderr_is_same()) {
    message.has_stderr = 1;
    fds[count] = STDERR_FILENO;
  }
  const iovec parts[] = {{&message, sizeof message}, {entries, count * sizeof entries[0]}};
  return channel::send(shim.channel.load(), parts, 2, fds, count + message.has_stderr);
}

// A socket was closed by a call that we did not see, between our look and the
// send: the kernel refuses the whole packet.
unsigned drop_closed(unsigned count) {
  unsigned kept = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (!still_the_socket(fds[i], entries[i].inode)) continue;
    entries[kept] = entries[i];
    fds[kept] = fds[i];
    ++kept;
  }
  return kept;
}

int send_surviving(uint32_t epoch, unsigned count, bool last) {
  for (;;) {
    const int error = send_part(epoch, count, last);
    if (error != EBADF) return error;
    count = drop_closed(count);
  }
}

int send_sockets(uint32_t epoch) {
  unsigned count = 0;
  const int end = fd_table::end();
  for (int fd = 0; fd < end; ++fd) {
    const fd_table::Slot* const slot = fd_table::find(fd);
    if (slot == nullptr) continue;
    const uint32_t word = slot->word.load(std::memory_order_acquire);
    const uint64_t inode = slot->inode.load();
    if ((word & fd_table::kTracked) == 0 || !still_the_socket(fd, inode)) continue;
    if (count == wire::kFdsPerPart) {
      const int error = send_surviving(epoch, count, false);
      if (error != 0) return error;
      count = 0;
    }
    entries[count] = {fd, word & ~fd_table::kPrivate, inode};
    fds[count] = fd;
    ++count;
  }
  return send_surviving(epoch, count, true);
}

void say_keeper_ended() {
  say(LogLevel::error,
      "checkpoint failed: the keeper has ended (was it killed?); the program goes on, restart it "
      "to make checkpoints again");
}

// Until the checkpoint is over.  A thread that counts as parked changes
// nothing that the keeper looks at.
void wait_for_end(wire::SharedPage& page, uint32_t epoch) {
  std::atomic_ref<uint32_t> current(page.epoch);
  while (current.load() == epoch) {
    const timespec patience{0, kLookNs};
    syscall(SYS_futex, &page.epoch, FUTEX_WAIT, epoch, &patience, nullptr, 0);
    if (current.load() == epoch && channel::ended(shim.channel.load())) {
      say_keeper_ended();
      return;
    }
  }
  if (std::atomic_ref(page.verdict).load() == wire::Verdict::exit_) {
    syscall(SYS_exit_group, 0);
  }
}

void take_part(wire::SharedPage& page, uint32_t epoch) {
  std::atomic_ref parked(page.parked[epoch & 1]);
  parked.fetch_add(1);
  if (sent_for.exchange(epoch + 1) != epoch + 1) {
    if (send_sockets(epoch) != 0) {
      say_keeper_ended();
      parked.fetch_sub(1);
      return;
    }
  }
  wait_for_end(page, epoch);
  parked.fetch_sub(1);
}

}  // namespace

void ask_for_checkpoint() {
  wire::SharedPage* const page = shim.page.load();
  if (page == nullptr || shim.channel.load() < 0) {
    say(LogLevel::warn, "nothing to checkpoint: the program has no UDP socket open");
    return;
  }
  take_part(*page, std::atomic_ref(page->epoch).load());
}

void join_checkpoint(uint32_t epoch) {
  wire::SharedPage* const page = shim.page.load();
  if (page == nullptr || std::atomic_ref(page->epoch).load() != epoch ||
      std::atomic_ref(page->state).load() != wire::PageState::freezing) {
    return;
  }
  take_part(*page, epoch);
}

void forget_checkpoints() { sent_for.store(0); }

}  // namespace udpcr
