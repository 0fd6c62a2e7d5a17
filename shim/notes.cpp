// SPDX-License-Identifier: LGPL-2.1-or-later
#include "notes.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>

#include <atomic>

#include "log.h"
#include "real.h"
#include "text.h"

namespace udpcr::notes {

namespace {

// The largest value that is not a pointer is group_source_req, 264 bytes.
constexpr socklen_t kMostValueBytes = 264;

struct Option {
  std::atomic<uint64_t> inode;  // 0: free
  int level;
  int name;
  socklen_t length;
  unsigned char value[kMostValueBytes];
};

struct Registration {
  std::atomic<int> fd_plus_one;  // 0: free
  int epoll_fd;
  epoll_event event;
};

Option options[512];
std::atomic<uint32_t> option_count;
Registration registrations[256];

void say_not_replayed(const char* why, int level, int name) {
  Text<256> line;
  line << "an option that the program set before bind (level " << level << ", name " << name
       << ") is not set again on the restored socket: " << why;
  say(LogLevel::warn, line.c_str());
}

void replay_filter(int fresh, int target) {
  static sock_filter instructions[BPF_MAXINSNS];
  socklen_t count = BPF_MAXINSNS;
  // The length is in instructions, in and out (net/core/filter.c, sk_get_filter).
  if (getsockopt(fresh, SOL_SOCKET, SO_GET_FILTER, instructions, &count) != 0 || count == 0) {
    return say_not_replayed("the filter cannot be read", SOL_SOCKET, SO_ATTACH_FILTER);
  }
  const sock_fprog program{static_cast<unsigned short>(count), instructions};
  real().setsockopt(target, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

bool holds_pointer(int level, int name) {
  return level == SOL_SOCKET && (name == SO_ATTACH_REUSEPORT_CBPF);
}

// Some can be set before bind only (IPV6_V6ONLY), or once only (a membership
// that the restored socket has).
bool is_so_already(int target, const Option& option) {
  if (errno == EADDRINUSE) return true;
  const int error = errno;
  unsigned char now[kMostValueBytes];
  socklen_t length = option.length;
  const bool same = getsockopt(target, option.level, option.name, now, &length) == 0 &&
                    length == option.length && memcmp(now, option.value, length) == 0;
  errno = error;
  return same;
}

}  // namespace

void add_option(uint64_t inode, int level, int name, const void* value, socklen_t length) {
  if (length > kMostValueBytes) return say_not_replayed("its value is too long", level, name);
  if (holds_pointer(level, name)) return say_not_replayed("it cannot be read", level, name);
  const uint32_t at = option_count.fetch_add(1);
  if (at >= sizeof options / sizeof options[0]) {
    return say_not_replayed("too many options were set before bind", level, name);
  }
  Option& option = options[at];
  option.level = level;
  option.name = name;
  option.length = length;
  if (value != nullptr) memcpy(option.value, value, length);
  option.inode.store(inode, std::memory_order_release);
}

void replay_options(uint64_t inode, int fresh, int target) {
  uint32_t count = option_count.load();
  constexpr uint32_t kMost = sizeof options / sizeof options[0];
  if (count > kMost) count = kMost;
  for (uint32_t i = 0; i < count; ++i) {
    Option& option = options[i];
    if (option.inode.load(std::memory_order_acquire) != inode) continue;
    if (option.level == SOL_SOCKET && option.name == SO_ATTACH_FILTER) {
      replay_filter(fresh, target);
    } else if (real().setsockopt(target, option.level, option.name, option.value, option.length) !=
                   0 &&
               !is_so_already(target, option)) {
      say_not_replayed(strerrorname_np(errno), option.level, option.name);
    }
  }
}

void add_epoll(int epoll_fd, int operation, int fd, const epoll_event* event) {
  for (Registration& one : registrations) {
    if (one.fd_plus_one.load() == fd + 1 && one.epoll_fd == epoll_fd) {
      if (operation == EPOLL_CTL_DEL) {
        one.fd_plus_one.store(0);
      } else if (event != nullptr) {
        one.event = *event;
      }
      return;
    }
  }
  if (operation != EPOLL_CTL_ADD || event == nullptr) return;
  for (Registration& one : registrations) {
    int free = 0;
    if (!one.fd_plus_one.compare_exchange_strong(free, -1)) continue;
    one.epoll_fd = epoll_fd;
    one.event = *event;
    one.fd_plus_one.store(fd + 1);
    return;
  }
  say(LogLevel::warn, "too many sockets were given to epoll before bind; one may not be polled");
}

void replay_epoll(int fd) {
  for (Registration& one : registrations) {
    if (one.fd_plus_one.load() != fd + 1) continue;
    real().epoll_ctl(one.epoll_fd, EPOLL_CTL_ADD, fd, &one.event);
    one.fd_plus_one.store(0);
  }
}

void forget_fd(int fd) {
  for (Registration& one : registrations) {
    int number = fd + 1;
    one.fd_plus_one.compare_exchange_strong(number, 0);
  }
}

}  // namespace udpcr::notes
