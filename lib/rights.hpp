// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The calls that the kernel refuses to an ordinary user (EPERM, EACCES), and those
// that open something in a network namespace.  All of the library makes them
// through here, so that a process without rights can have another one make them.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <udpcr/udpcr.hpp>

namespace udpcr {

// As the system calls themselves: -1 with errno.
class PrivilegedCalls {
 public:
  PrivilegedCalls() = default;
  virtual ~PrivilegedCalls() = default;
  PrivilegedCalls(const PrivilegedCalls&) = delete;
  PrivilegedCalls& operator=(const PrivilegedCalls&) = delete;

  // The fds that follow are opened in the network namespace `place` (nsfs, not
  // owned); -1: in the caller's own.  Of another one that needs CAP_SYS_ADMIN.
  virtual void visit(int place) noexcept { place_ = place; }
  // The namespace of a socket, as an fd of nsfs.  CAP_NET_ADMIN there.
  virtual int place_of(int socket) noexcept;

  // Close-on-exec.
  virtual int socket(int family, int type, int protocol) noexcept;
  // A file of /proc/net, such as "igmp", read-only.
  virtual int open_proc_net(const char* name) noexcept;
  virtual int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept;
  virtual int bind(int fd, const sockaddr* name, socklen_t size) noexcept;
  // Whom a socket belongs to.
  virtual int chown(int fd, uid_t user) noexcept;

  // Adds to what is corked: MSG_MORE.  Some control messages need CAP_NET_RAW.
  virtual ssize_t send_more(int fd, const msghdr& message) noexcept;

  // Whether send_raw() is possible.
  virtual bool may_send_raw() noexcept;
  // For send_raw() and for joining groups with it.
  virtual int raw_socket(int family) noexcept;
  // As sendmmsg(2) on the fd that raw_socket() gave.  `target`: the socket that is
  // being filled, which is bound to a port that nobody knows and to no address.
  virtual int send_raw(int raw, int target, mmsghdr* messages, unsigned count) noexcept;

  // A generic netlink request to the kernel module, made with other rights than this
  // process has.  `socket`: the fd that it names; -1: none.  EPERM: nobody has others.
  virtual ssize_t send_to_module(int netlink, int socket, const void* request,
                                 std::size_t size) noexcept;

  // A parked socket, out of the module: the fd.  ENOSYS: nobody has other rights.
  virtual int claim_parked(std::uint64_t inode, std::uint64_t cookie, ByteView key) noexcept;

  // Of the image's folder, by the image's own names (folders may be another user's).
  // `flags` of open(2), without symbolic links, close-on-exec, mode 0600.
  virtual int open_file(int folder, const char* name, int flags) noexcept;
  virtual int rename_file(int folder, const char* from, const char* to) noexcept;
  virtual int unlink_file(int folder, const char* name) noexcept;

 protected:
  int place_ = -1;

 private:
  int home_ = -1;
  // In `place_` while it calls.
  template <typename Call>
  int there(Call call) noexcept;
};

// Those in use: the caller's own unless others have been given.
PrivilegedCalls& rights() noexcept;
// Not owned; null: the caller's own.  Not while another thread uses the library.
void use_rights(PrivilegedCalls* others) noexcept;

// In a network namespace, as far as rights() goes, while it lives.
class Visit {
 public:
  explicit Visit(int place) noexcept { rights().visit(place); }
  ~Visit() { rights().visit(-1); }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
};

}  // namespace udpcr
