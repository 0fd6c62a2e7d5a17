// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Generic netlink by hand: the shim links with libc alone.
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <string.h>
#include <udpcr/udpcr_netlink.h>

#include "park_search.h"
#include "sys.h"

namespace udpcr {

namespace {

constexpr int kAnswerPatienceMs = 1000;

// The module's references: none, and nothing is parked.
bool is_referred_to() {
  const int file = sys::open("/sys/module/udpcr/refcnt", O_RDONLY | O_CLOEXEC);
  // Without sysfs the module itself must be asked.
  if (file < 0) return syscall(SYS_faccessat, AT_FDCWD, "/sys/module", F_OK) != 0;
  char text[16] = {};
  const ssize_t size = sys::read(file, text, sizeof text - 1);
  sys::close(file);
  return size <= 0 || strcmp(text, "0\n") != 0;
}

struct Request {
  nlmsghdr header;
  genlmsghdr command;
  nlattr attribute;
  char value[16];
};

// Calls `see(type, value, size)` for each attribute of a message.
template <typename See>
void each_attribute(const nlmsghdr* message, See see) {
  const auto* next = reinterpret_cast<const unsigned char*>(message) + NLMSG_HDRLEN + GENL_HDRLEN;
  const auto* const end = reinterpret_cast<const unsigned char*>(message) + message->nlmsg_len;
  while (end - next >= NLA_HDRLEN) {
    nlattr attribute{};
    memcpy(&attribute, next, sizeof attribute);
    if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > end - next) return;
    see(attribute.nla_type & NLA_TYPE_MASK, next + NLA_HDRLEN,
        static_cast<size_t>(attribute.nla_len - NLA_HDRLEN));
    next += NLA_ALIGN(attribute.nla_len);
  }
}

class Netlink {
 public:
  Netlink()
      : fd_(static_cast<int>(
            syscall(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC))) {}
  ~Netlink() {
    if (fd_ >= 0) sys::close(fd_);
  }
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  bool send(Request& request, size_t size) {
    request.header.nlmsg_len = static_cast<uint32_t>(size);
    iovec piece{&request, size};
    msghdr message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    return fd_ >= 0 && sys::sendmsg(fd_, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(size);
  }

  // Calls `see(message)` for each message of the answer; until it returns false,
  // or the answer is over.
  template <typename See>
  void receive(See see) {
    // A dump's messages come in packets of this size at most, unless one asks
    // with more room (net/netlink/af_netlink.c, netlink_dump, Linux 6.1).
    alignas(nlmsghdr) char packet[8192];
    for (;;) {
      pollfd ready{fd_, POLLIN, 0};
      if (sys::poll(&ready, 1, kAnswerPatienceMs) <= 0) return;
      const ssize_t size = sys::read(fd_, packet, sizeof packet);
      if (size <= 0) return;
      auto left = static_cast<unsigned>(size);
      const auto* message = reinterpret_cast<const nlmsghdr*>(packet);
      for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
        if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) return;
        if (!see(message) || (message->nlmsg_flags & NLM_F_MULTI) == 0) return;
      }
    }
  }

 private:
  int fd_;
};

// 0: there is none.
uint16_t find_family(Netlink& netlink) {
  Request request = {};
  request.header.nlmsg_type = GENL_ID_CTRL;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.command.cmd = CTRL_CMD_GETFAMILY;
  request.command.version = 1;
  request.attribute.nla_type = CTRL_ATTR_FAMILY_NAME;
  request.attribute.nla_len = NLA_HDRLEN + sizeof UDPCR_GENL_NAME;
  static_assert(sizeof UDPCR_GENL_NAME <= sizeof request.value);
  memcpy(request.value, UDPCR_GENL_NAME, sizeof UDPCR_GENL_NAME);
  uint16_t family = 0;
  if (!netlink.send(request, offsetof(Request, value) + NLA_ALIGN(sizeof UDPCR_GENL_NAME))) {
    return 0;
  }
  netlink.receive([&](const nlmsghdr* message) {
    each_attribute(message, [&](int type, const unsigned char* value, size_t size) {
      if (type == CTRL_ATTR_FAMILY_ID && size == sizeof family) memcpy(&family, value, size);
    });
    return false;
  });
  return family;
}

}  // namespace

bool module_has_parked(const wire::ParkKey& mine, Match match) {
  if (!is_referred_to()) return false;
  Netlink netlink;
  Request request = {};
  request.header.nlmsg_type = find_family(netlink);
  if (request.header.nlmsg_type == 0) return false;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.command.cmd = UDPCR_CMD_PARKED;
  request.command.version = UDPCR_GENL_VERSION;
  bool found = false;
  if (!netlink.send(request, offsetof(Request, attribute))) return false;
  netlink.receive([&](const nlmsghdr* message) {
    each_attribute(message, [&](int type, const unsigned char* value, size_t size) {
      wire::ParkKey key;
      if (type != UDPCR_A_KEY || size != sizeof key) return;
      memcpy(&key, value, size);
      found = found || key.is_for(mine, match);
    });
    return !found;
  });
  return found;
}

}  // namespace udpcr
