// SPDX-License-Identifier: LGPL-2.1-or-later
#include "process_operations.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>

#include "fresh_socket.hpp"
#include "keeper/process.hpp"
#include "persist.hpp"

namespace udpcr::keeper::monitor {

namespace {

constexpr std::size_t kMostMembers = 65536;

Result failure(int error) { return {error, 0, 0, {}}; }

bool has_ended(int pidfd) {
  pollfd exit{pidfd, POLLIN, 0};
  return persist([&] { return poll(&exit, 1, 0); }) != 0;
}

bool has_no_name(int channel, int (*name_of)(int, sockaddr*, socklen_t*)) {
  sockaddr_un name{};
  socklen_t size = sizeof name;
  return name_of(channel, reinterpret_cast<sockaddr*>(&name), &size) == 0 &&
         size == offsetof(sockaddr_un, sun_path);
}

// Made by socketpair(2): of a connection one end has the name of somebody's listening
// socket.  `may_be_named`: our own has got a name by asking for credentials (unix(7)).
bool is_pair(int channel, bool may_be_named) {
  int domain = 0;
  int type = 0;
  socklen_t size = sizeof domain;
  return getsockopt(channel, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
         getsockopt(channel, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET &&
         has_no_name(channel, getpeername) && (may_be_named || has_no_name(channel, getsockname));
}

// With the rights of `user` alone while it lives.  Root's may signal everybody.  Only
// root's monitor changes its user: another one has neither SETUID nor KILL (separate.cpp),
// and signals what its own user may.
class As {
 public:
  explicit As(uid_t user) {
    if (user == 0 || getuid() != 0) return;
    changed_ = setresuid(user, user, uid_t(-1)) == 0;
    allowed_ = changed_;
  }
  ~As() {
    if (changed_ && setresuid(0, 0, 0) != 0) _exit(125);
  }
  As(const As&) = delete;
  As& operator=(const As&) = delete;

  [[nodiscard]] bool is_allowed() const { return allowed_; }

 private:
  bool changed_ = false;
  bool allowed_ = true;
};

}  // namespace

Result ProcessOperations::serve(const Asked& asked) {
  switch (asked.request.operation) {
    case Operation::join:
      return join(asked);
    case Operation::signal:
      return signal(asked);
    case Operation::sockets:
      return list_sockets(asked);
    case Operation::child:
      return look_at_child(asked);
    default:
      return failure(EPERM);
  }
}

const ProcessOperations::Member* ProcessOperations::living(pid_t pid) {
  const auto place = members_.find(pid);
  if (place == members_.end()) return nullptr;
  if (!has_ended(place->second.pidfd.get())) return &place->second;
  members_.erase(place);
  return nullptr;
}

Result ProcessOperations::join(const Asked& asked) {
  const pid_t pid = asked.request.number[0];
  if (pid <= 0) return failure(EPERM);
  ucred maker{};
  socklen_t size = sizeof maker;
  if (getsockopt(asked.fd(1), SOL_SOCKET, SO_PEERCRED, &maker, &size) != 0 || maker.pid != pid) {
    return failure(EPERM);
  }
  if (members_.size() >= kMostMembers) {
    std::erase_if(members_, [](const auto& one) { return has_ended(one.second.pidfd.get()); });
  }
  // Of whoever made the pair, not of whoever has its number by now; before Linux 6.5
  // only the number is known.
  constexpr int kSoPeerpidfd = 77;  // include/uapi/asm-generic/socket.h
  int maker_fd = -1;
  size = sizeof maker_fd;
  bool by_number = false;
  if (getsockopt(asked.fd(1), SOL_SOCKET, kSoPeerpidfd, &maker_fd, &size) != 0) {
    if (errno != ENOPROTOOPT) return failure(ESRCH);
    by_number = true;
    maker_fd = int(syscall(SYS_pidfd_open, pid, 0));
  }
  Member member{UniqueFd(maker_fd), maker.uid};
  // By number the keeper has asked for an answer, and with it for credentials.
  if (!is_pair(asked.fd(1), by_number)) return failure(EPERM);
  if (!member.pidfd || members_.size() >= kMostMembers) return failure(EPERM);
  if (has_ended(member.pidfd.get()) || has_ended(asked.fd(0))) return failure(ESRCH);
  members_.insert_or_assign(pid, std::move(member));
  return {};
}

Result ProcessOperations::signal(const Asked& asked) {
  const auto [pid, thread, number] = asked.request.number;
  const Member* const member = living(pid);
  if (member == nullptr) return failure(ESRCH);
  if (number != SIGKILL && number != SIGSTOP && number != SIGCONT && number != signal_) {
    return failure(EPERM);
  }
  int result = 0;
  {
    const As as(member->user);
    if (!as.is_allowed()) return failure(EPERM);
    if (thread == 0) {
      result = int(syscall(SYS_pidfd_send_signal, member->pidfd.get(), number, nullptr, 0));
    } else {
      siginfo_t info{};
      info.si_signo = number;
      info.si_code = SI_QUEUE;
      info.si_pid = keeper_;
      std::memcpy(&info.si_value, &asked.request.value, sizeof asked.request.value);
      result = int(syscall(SYS_rt_tgsigqueueinfo, pid, thread, number, &info));
    }
    if (result != 0) return failure(errno);
  }
  return living(pid) != nullptr || number == SIGKILL ? Result{} : failure(ESRCH);
}

Result ProcessOperations::list_sockets(const Asked& asked) {
  const pid_t pid = asked.request.number[0];
  if (living(pid) == nullptr) return failure(ESRCH);
  const auto found = open_sockets(pid);
  if (!found) return failure(EACCES);
  if (living(pid) == nullptr) return failure(ESRCH);
  UniqueFd file(memfd_create("udpcr-sockets", MFD_CLOEXEC));
  const std::vector<std::uint64_t> inodes(found->begin(), found->end());
  const std::size_t size = inodes.size() * sizeof(std::uint64_t);
  if (!file || write(file.get(), inodes.data(), size) != ssize_t(size)) return failure(ENOMEM);
  return {0, 0, inodes.size(), std::move(file)};
}

Result ProcessOperations::look_at_child(const Asked& asked) {
  const pid_t child = asked.request.number[0];
  const pid_t parent = asked.request.number[1];
  const UniqueFd pidfd(int(syscall(SYS_pidfd_open, child, 0)));
  if (!pidfd || living(parent) == nullptr || parent_of(child) != parent) return failure(ESRCH);
  bool has_udp = false;
  const bool readable = look_for_udp(child, pidfd.get(), has_udp);
  if (has_ended(pidfd.get())) return failure(ESRCH);
  return {0, (readable ? kChildReadable : 0) | (has_udp ? kChildHasUdp : 0), 0, {}};
}

}  // namespace udpcr::keeper::monitor
