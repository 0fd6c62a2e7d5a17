// SPDX-License-Identifier: LGPL-2.1-or-later
#include "inherit.h"

#include "channel.h"
#include "fd_table.h"
#include "log.h"
#include "own_fds.h"
#include "owner.h"
#include "sys.h"

namespace udpcr {

namespace {

// One message of sockets.  They arrive at the lowest free numbers, which are
// likely to be each other's places.
class Part {
 public:
  // Sockets received; 0: none, the reason is said.
  uint32_t receive(Patience& patience) {
    const ssize_t size =
        channel::receive(&message_, sizeof message_, fds_, wire::kFdsPerPart, arrived_, patience);
    if (size < 0) {
      if (errno == ESHUTDOWN) return 0;  // said for all that the keeper does
      Line line;
      line << "not restored: the keeper has not sent the sockets that it announced ("
           << strerrordesc_np(errno) << "); the image stays, restart the program to have them";
      log_line(LogLevel::error, line);
      return 0;
    }
    if (arrived_.fds_lost || message_.count != arrived_.fd_count ||
        message_.header.type != wire::Type::inherit) {
      Line line;
      line << "not restored: " << message_.count << " sockets were sent, " << arrived_.fd_count
           << " could be received; raise RLIMIT_NOFILE (ulimit -n)";
      log_line(LogLevel::error, line);
    }
    return message_.count;
  }

  void place_all() {
    for (size_t i = 0; i < arrived_.fd_count; ++i) place(i);
  }

 private:
  [[nodiscard]] bool is_cloexec(size_t index) const {
    return (message_.fds[index].flags & wire::kFdCloexec) != 0;
  }

  void place(size_t index) {
    const int target = message_.fds[index].fd;
    if (target < 0 || target >= FdTable::kMostFds) return refuse(index, "is no fd number");
    if (fds_[index] == target) {
      sys::fcntl(target, F_SETFD, is_cloexec(index) ? FD_CLOEXEC : 0);
      return track(index);
    }
    const bool is_free = sys::fcntl(target, F_GETFD) < 0 || own_fds::make_way(target);
    if (!is_free && !move_away(index, target)) {
      return refuse(index, "is in use; start the program without it");
    }
    if (sys::dup3(fds_[index], target, is_cloexec(index) ? O_CLOEXEC : 0) < 0) {
      return refuse(index, strerrordesc_np(errno));
    }
    sys::close(fds_[index]);
    track(index);
  }

  // Another of this part stands in the way.  True: no more.
  bool move_away(size_t index, int target) {
    for (size_t other = index + 1; other < arrived_.fd_count; ++other) {
      if (fds_[other] != target) continue;
      const int moved = sys::fcntl(target, F_DUPFD_CLOEXEC, 0);
      if (moved < 0) return false;
      fds_[other] = moved;
      return true;
    }
    return false;
  }

  void refuse(size_t index, const char* why) {
    Line line;
    line << "not restored: fd " << message_.fds[index].fd << ' ' << why
         << "; the socket that stood there is closed";
    log_line(LogLevel::error, line);
    sys::close(fds_[index]);
  }

  void track(size_t index) {
    const int fd = message_.fds[index].fd;
    uint64_t inode = 0;
    uint32_t flags = 0;
    // Several numbers may name one socket.
    if (examine_socket(fd, inode, flags)) fd_table.track(fd, inode, flags | kFdShared);
    set_owner(fd, fd, message_.fds[index].owner);
    // The signal names the number at which it was asked for (F_SETSIG).
    if ((message_.fds[index].flags & wire::kFdAsync) != 0) {
      sys::fcntl(fd, F_SETFL, sys::fcntl(fd, F_GETFL) | O_ASYNC);
    }
  }

  wire::InheritMessage message_{};
  int fds_[wire::kFdsPerPart] = {};
  channel::Arrived arrived_{};
};

}  // namespace

void place_inherited(uint32_t count, Patience& patience) {
  while (count > 0) {
    Part part;
    const uint32_t received = part.receive(patience);
    if (received == 0) return;
    part.place_all();
    count -= received < count ? received : count;
  }
}

}  // namespace udpcr
