// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rights.hpp"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace udpcr {

namespace {

PrivilegedCalls own_rights;
PrivilegedCalls* in_use = &own_rights;

}  // namespace

PrivilegedCalls& rights() noexcept { return *in_use; }

void use_rights(PrivilegedCalls* others) noexcept {
  in_use = others != nullptr ? others : &own_rights;
}

template <typename Call>
int PrivilegedCalls::there(Call call) noexcept {
  if (place_ < 0) return call();
  if (home_ < 0) home_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home_ < 0 || ::setns(place_, CLONE_NEWNET) != 0) return -1;
  const int result = call();
  const int error = errno;
  // All else that this process did would be done in the wrong place.
  if (::setns(home_, CLONE_NEWNET) != 0) std::abort();
  errno = error;
  return result;
}

int PrivilegedCalls::place_of(int socket) noexcept { return ::ioctl(socket, SIOCGSKNS); }

int PrivilegedCalls::socket(int family, int type, int protocol) noexcept {
  return there([&] { return ::socket(family, type | SOCK_CLOEXEC, protocol); });
}

int PrivilegedCalls::open_proc_net(const char* name) noexcept {
  return there([&] {
    // Not /proc/net: that is the namespace of the process's first thread.
    char path[64];
    std::snprintf(path, sizeof path, "/proc/thread-self/net/%s", name);
    return ::open(path, O_RDONLY | O_CLOEXEC);
  });
}

int PrivilegedCalls::setsockopt(int fd, int level, int name, const void* value,
                                socklen_t size) noexcept {
  return ::setsockopt(fd, level, name, value, size);
}

int PrivilegedCalls::bind(int fd, const sockaddr* name, socklen_t size) noexcept {
  return ::bind(fd, name, size);
}

int PrivilegedCalls::chown(int fd, uid_t user) noexcept {
  return ::fchown(fd, user, static_cast<gid_t>(-1));
}

ssize_t PrivilegedCalls::send_more(int fd, const msghdr& message) noexcept {
  return ::sendmsg(fd, &message, MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool PrivilegedCalls::may_send_raw() noexcept {
  return static_cast<bool>(UniqueFd(raw_socket(AF_INET)));
}

int PrivilegedCalls::raw_socket(int family) noexcept {
  // IPPROTO_RAW: the IP header comes with the data.
  return socket(family, SOCK_RAW, IPPROTO_RAW);
}

int PrivilegedCalls::send_raw(int raw, int /*target*/, mmsghdr* messages, unsigned count) noexcept {
  return ::sendmmsg(raw, messages, count, 0);
}

ssize_t PrivilegedCalls::send_to_module(int /*netlink*/, int /*socket*/, const void* /*request*/,
                                        std::size_t /*size*/) noexcept {
  errno = EPERM;
  return -1;
}

int PrivilegedCalls::claim_parked(std::uint64_t /*inode*/, std::uint64_t /*cookie*/,
                                  ByteView /*key*/) noexcept {
  errno = ENOSYS;
  return -1;
}

int PrivilegedCalls::open_file(int folder, const char* name, int flags) noexcept {
  return ::openat(folder, name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
}

int PrivilegedCalls::rename_file(int folder, const char* from, const char* to) noexcept {
  return ::renameat(folder, from, folder, to);
}

int PrivilegedCalls::unlink_file(int folder, const char* name) noexcept {
  return ::unlinkat(folder, name, 0);
}

}  // namespace udpcr
