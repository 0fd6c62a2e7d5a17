// SPDX-License-Identifier: LGPL-2.1-or-later
#include "replay.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>

#include "adopt.h"
#include "fd_table.h"
#include "joined_groups.h"
#include "log.h"
#include "sys.h"
#include "turn.h"

namespace udpcr::replay {

namespace {

// group_source_req, the largest structure of fixed size, has 264 bytes.
constexpr socklen_t kLargestValue = 288;
constexpr size_t kMostOptions = 256;
constexpr size_t kMostEpolls = 128;
constexpr unsigned short kMostInstructions = BPF_MAXINSNS;

// 0 as inode: free.
struct Option {
  uint64_t inode;
  int level;
  int name;
  socklen_t size;  // beyond kLargestValue: the value is not there
  Before before;
  uint8_t value[kLargestValue];
};

struct Epoll {
  uint64_t inode;
  int epoll;
  int fd;
  epoll_event event;
};

// In order of the calls; `used` is one past the last that is not free.
constinit Option options[kMostOptions] = {};
constinit size_t options_used = 0;
constinit Epoll epolls[kMostEpolls] = {};
constinit size_t epolls_used = 0;
constinit bool overflow_was_said = false;

template <typename Record, size_t count>
Record* append(Record (&records)[count], size_t& used) {
  if (used < count) return &records[used++];
  if (!overflow_was_said) {
    overflow_was_said = true;
    Line line;
    line << "more than " << count
         << " options or epoll registrations before bind: those beyond are not made again on the "
            "restored sockets; bind earlier";
    log_line(LogLevel::warn, line);
  }
  return nullptr;
}

template <typename Record>
void remove_of(Record* records, size_t& used, uint64_t inode) {
  size_t kept = 0;
  for (size_t i = 0; i < used; ++i) {
    if (records[i].inode != inode) records[kept++] = records[i];
  }
  used = kept;
}

bool carries_a_program(const Option& option) {
  return option.level == SOL_SOCKET && option.name == SO_ATTACH_FILTER;
}

// Its value was a pointer: the program is read back from the fresh socket.
int copy_filter(int fresh, int restored) {
  static constinit sock_filter instructions[kMostInstructions] = {};
  socklen_t count = kMostInstructions;  // SO_GET_FILTER counts instructions
  if (sys::getsockopt(fresh, SOL_SOCKET, SO_GET_FILTER, instructions, &count) != 0) return errno;
  if (count == 0) return 0;  // detached since
  const sock_fprog program{static_cast<unsigned short>(count), instructions};
  const int result =
      sys::setsockopt(restored, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  return result == 0 ? 0 : errno;
}

bool have_the_same(int level, int name, int fresh, int restored) {
  uint8_t ours[kLargestValue];
  uint8_t theirs[kLargestValue];
  socklen_t size = sizeof ours;
  socklen_t their_size = sizeof theirs;
  return sys::getsockopt(fresh, level, name, ours, &size) == 0 &&
         sys::getsockopt(restored, level, name, theirs, &their_size) == 0 && size == their_size &&
         memcmp(ours, theirs, size) == 0;
}

// 0 or errno.
int set_again(const Option& option, int fresh, int restored) {
  if (carries_a_program(option)) return copy_filter(fresh, restored);
  if (option.size > kLargestValue) return EMSGSIZE;
  if (sys::setsockopt(restored, option.level, option.name, option.value, option.size) == 0) {
    return 0;
  }
  const int error = errno;
  // Detached since, from both.
  if (option.name == SO_DETACH_FILTER && option.level == SOL_SOCKET) return 0;
  // IPV6_V6ONLY cannot be set once a socket is bound, SO_BINDTODEVICE not by
  // everyone: no matter where they are as they should be.
  return have_the_same(option.level, option.name, fresh, restored) ? 0 : error;
}

}  // namespace

Before read_before(int fd, int level, int name) {
  const KeepErrno keep;
  Before before{false, 0};
  socklen_t size = sizeof before.value;
  before.is_known =
      sys::getsockopt(fd, level, name, &before.value, &size) == 0 && size == sizeof before.value;
  // The kernel tells twice what it is given.
  if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_SNDBUF)) before.value /= 2;
  return before;
}

void record_option(uint64_t inode, int level, int name, const void* value, socklen_t size,
                   const Before& before) {
  const Turn turn(adopt::turn);
  Option* const option = append(options, options_used);
  if (option == nullptr) return;
  option->inode = inode;
  option->level = level;
  option->name = name;
  option->size = size;
  option->before = before;
  if (value != nullptr && size <= kLargestValue) memcpy(option->value, value, size);
}

void record_epoll(uint64_t inode, int epoll, int operation, int fd, const epoll_event* event) {
  const Turn turn(adopt::turn);
  Epoll* found = nullptr;
  for (size_t i = 0; i < epolls_used; ++i) {
    if (epolls[i].inode == inode && epolls[i].epoll == epoll && epolls[i].fd == fd) {
      found = &epolls[i];
    }
  }
  if (operation == EPOLL_CTL_DEL) {
    if (found != nullptr) *found = epolls[--epolls_used];
    return;
  }
  if (found == nullptr) found = append(epolls, epolls_used);
  if (found != nullptr) *found = {inode, epoll, fd, *event};
}

void forget(uint64_t inode) {
  remove_of(options, options_used, inode);
  remove_of(epolls, epolls_used, inode);
}

void forget_socket(uint64_t inode) {
  const Turn turn(adopt::turn);
  forget(inode);
}

void set_options_again(uint64_t inode, int fresh, int restored) {
  const uint64_t restored_inode = inode_of(restored);
  for (size_t i = 0; i < options_used; ++i) {
    Option& option = options[i];
    if (option.inode != inode) continue;
    option.before = read_before(restored, option.level, option.name);
    const int refused = set_again(option, fresh, restored);
    const int error = joined_groups::answer(restored_inode, option.level, option.name, option.value,
                                            option.size, refused);
    if (error == 0) continue;
    Line line;
    line << "fd " << fresh << ": socket option " << option.level << "/" << option.name
         << ", which the program set before bind, cannot be set again on the restored socket: "
         << strerrordesc_np(error) << "; it keeps the value of the image";
    log_line(LogLevel::warn, line);
  }
}

void undo_options(uint64_t inode, int fd) {
  for (size_t i = options_used; i-- > 0;) {
    const Option& option = options[i];
    if (option.inode != inode || !option.before.is_known) continue;
    sys::setsockopt(fd, option.level, option.name, &option.before.value,
                    sizeof option.before.value);
  }
}

void leave_epolls(uint64_t inode) {
  for (size_t i = 0; i < epolls_used; ++i) {
    if (epolls[i].inode != inode) continue;
    epoll_event unused{};
    syscall(SYS_epoll_ctl, epolls[i].epoll, EPOLL_CTL_DEL, epolls[i].fd, &unused);
  }
}

void join_epolls(uint64_t inode, uint64_t restored) {
  for (size_t i = 0; i < epolls_used; ++i) {
    // The number may be that of another file by now.
    if (epolls[i].inode != inode || inode_of(epolls[i].fd) != restored) continue;
    const int result = static_cast<int>(
        syscall(SYS_epoll_ctl, epolls[i].epoll, EPOLL_CTL_ADD, epolls[i].fd, &epolls[i].event));
    // The program has closed one of the two meanwhile.
    if (result == 0 || errno == EBADF || errno == EINVAL) continue;
    Line line;
    line << "fd " << epolls[i].fd << " cannot be added again to epoll fd " << epolls[i].epoll
         << ": " << strerrordesc_np(errno)
         << "; the program will not hear of its datagrams, restart it";
    log_line(LogLevel::error, line);
  }
}

void keep_for(uint64_t fresh, uint64_t restored) {
  for (size_t i = 0; i < options_used; ++i) {
    if (options[i].inode == fresh) options[i].inode = restored;
  }
  for (size_t i = 0; i < epolls_used; ++i) {
    if (epolls[i].inode == fresh) epolls[i].inode = restored;
  }
}

}  // namespace udpcr::replay
