// SPDX-License-Identifier: LGPL-2.1-or-later
#include "netlink_socket.hpp"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>

#include <cerrno>

#include "attributes.hpp"
#include "errors.hpp"
#include "rights.hpp"

namespace udpcr {
namespace {

// A record may have 1 MiB (udpcr_netlink.h, "Limits").
constexpr std::size_t kIncoming = (std::size_t{1} << 20) + 4096;
constexpr int kBuffer = 1 << 20;
// Bounds of a batch: should every message be refused, the answers must fit into
// the receive buffer (212,992 bytes when the system has its defaults and we no
// rights), each charged some 800 bytes.
constexpr std::size_t kBatchMessages = 96;
constexpr std::size_t kBatchBytes = std::size_t{128} << 10;

void set(int fd, int level, int name, int value) {
  static_cast<void>(::setsockopt(fd, level, name, &value, sizeof value));
}

// The sentence of an extended ACK, among the attributes `bytes`.
std::string ack_sentence(ByteView bytes) {
  AttributeReader reader(bytes);
  for (Attribute attribute; reader.next(attribute);) {
    if (attribute.type != NLMSGERR_ATTR_MSG) continue;
    std::string sentence(attribute.value.begin(), attribute.value.end());
    while (!sentence.empty() && sentence.back() == '\0') sentence.pop_back();
    return sentence;
  }
  return {};
}

// `bytes`: behind the nlmsghdr of NLMSG_ERROR or NLMSG_DONE.
Ack read_ack(std::uint16_t type, std::uint16_t flags, ByteView bytes) {
  Ack ack;
  int error = 0;
  if (bytes.size() < sizeof error) return ack;
  std::memcpy(&error, bytes.data(), sizeof error);
  ack.error_number = -error;
  std::size_t head = sizeof error;
  if (type == NLMSG_ERROR) {
    nlmsgerr answer{};
    if (bytes.size() < sizeof answer) return ack;
    std::memcpy(&answer, bytes.data(), sizeof answer);
    head = sizeof answer;
    // The request stands there too, should NETLINK_CAP_ACK not be had.
    if ((flags & NLM_F_CAPPED) == 0) {
      head += NLMSG_ALIGN(answer.msg.nlmsg_len) - NLMSG_HDRLEN;
    }
  }
  if ((flags & NLM_F_ACK_TLVS) != 0 && head < bytes.size()) {
    ack.sentence = ack_sentence(bytes.subspan(head));
  }
  return ack;
}

ByteView without_padding(ByteView message) {
  if (message.size() < GENL_HDRLEN) broken("a reply has no generic netlink header");
  AttributeReader reader(message.subspan(GENL_HDRLEN));
  std::size_t end = GENL_HDRLEN;
  for (Attribute attribute; reader.next(attribute);) {
    end =
        static_cast<std::size_t>(attribute.value.data() - message.data()) + attribute.value.size();
  }
  return message.first(end);
}

// The caller's fd that a request to the module names; -1: none.
int named_fd(ByteView message) {
  if (message.size() < GENL_HDRLEN) return -1;
  AttributeReader reader(message.subspan(GENL_HDRLEN));
  for (Attribute attribute; reader.next(attribute);) {
    if (attribute.type == UDPCR_A_FD) return static_cast<int>(attribute.as<std::uint32_t>());
  }
  return -1;
}

bool is_command(ByteView message, std::uint8_t one, std::uint8_t other) {
  return !message.empty() && (message[0] == one || message[0] == other);
}

}  // namespace

struct NetlinkSocket::Header {
  std::uint16_t type;
  std::uint16_t flags;
  std::uint32_t sequence;
};

NetlinkSocket::NetlinkSocket()
    : fd_(rights().socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC)),
      incoming_(std::make_unique_for_overwrite<std::uint8_t[]>(kIncoming)) {
  if (!fd_) {
    fail("open a generic netlink socket", errno,
         errno == EMFILE || errno == ENFILE ? "raise the limit of open files (RLIMIT_NOFILE)"
                                            : "a sandbox must allow AF_NETLINK");
  }
  set(fd_.get(), SOL_NETLINK, NETLINK_EXT_ACK, 1);
  set(fd_.get(), SOL_NETLINK, NETLINK_CAP_ACK, 1);
  set(fd_.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  set(fd_.get(), SOL_SOCKET, SO_SNDBUF, kBuffer);
  set(fd_.get(), SOL_SOCKET, SO_RCVBUF, kBuffer);
}

void NetlinkSocket::append(std::uint16_t family, std::uint16_t flags, ByteView message,
                           ByteView more) {
  nlmsghdr header{};
  const std::size_t aligned = more.empty() ? message.size() : NLMSG_ALIGN(message.size());
  header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_HDRLEN + aligned + more.size());
  header.nlmsg_type = family;
  header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  header.nlmsg_seq = ++sequence_;
  if (outgoing_.empty()) first_ = sequence_;
  last_ = outgoing_.size();
  const auto* const head = reinterpret_cast<const std::uint8_t*>(&header);
  outgoing_.insert(outgoing_.end(), head, head + sizeof header);
  outgoing_.insert(outgoing_.end(), message.begin(), message.end());
  outgoing_.resize(NLMSG_ALIGN(outgoing_.size()));
  outgoing_.insert(outgoing_.end(), more.begin(), more.end());
  outgoing_.resize(NLMSG_ALIGN(outgoing_.size()));
}

void NetlinkSocket::send() {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent = 0;
  do {
    sent = ::sendto(fd_.get(), outgoing_.data(), outgoing_.size(), 0,
                    reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  const int error = errno;
  const std::size_t size = outgoing_.size();
  outgoing_.clear();
  if (sent < 0) {
    fail("send " + std::to_string(size) + " bytes over netlink", error,
         error == EMSGSIZE || error == ENOBUFS ? "raise net.core.wmem_max" : "");
  }
}

void NetlinkSocket::receive(const std::function<bool(const Header&, ByteView)>& handle) {
  for (;;) {
    sockaddr_nl sender{};
    iovec vector{incoming_.get(), kIncoming};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    const ssize_t got = ::recvmsg(fd_.get(), &message, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      // ENOBUFS: an answer was dropped, so that nobody knows which.
      fail("receive over netlink", errno, errno == ENOBUFS ? "raise net.core.rmem_max" : "");
    }
    if (sender.nl_pid != 0) continue;
    if ((message.msg_flags & MSG_TRUNC) != 0) {
      throw Error("cannot receive over netlink: a message has more than the " +
                      std::to_string(kIncoming) + " bytes expected; use a newer udpcr",
                  EMSGSIZE);
    }
    for (ByteView left(incoming_.get(), static_cast<std::size_t>(got));
         left.size() >= sizeof(nlmsghdr);) {
      nlmsghdr header{};
      std::memcpy(&header, left.data(), sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > left.size()) {
        broken("a netlink message claims " + std::to_string(header.nlmsg_len) + " bytes of " +
               std::to_string(left.size()));
      }
      if (!handle({header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq},
                  left.subspan(sizeof header, header.nlmsg_len - sizeof header))) {
        return;
      }
      left = left.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), left.size()));
    }
  }
}

Ack NetlinkSocket::request(std::uint16_t family, std::uint16_t flags, ByteView message,
                           const TakeReply& take) {
  Ack ack;
  // Parks are kept by the rights of whoever parks.
  const bool keeps_rights = is_command(message, UDPCR_CMD_PARK, UDPCR_CMD_PARKED);
  if (keeps_rights && exchange(family, flags, message, take, true, ack)) return ack;
  exchange(family, flags, message, take, false, ack);
  // An fd in the answer would be whose who has asked.
  if (ack.error_number == EPERM && !is_command(message, UDPCR_CMD_OPEN, UDPCR_CMD_CLAIM)) {
    exchange(family, flags, message, take, true, ack);
  }
  return ack;
}

bool NetlinkSocket::exchange(std::uint16_t family, std::uint16_t flags, ByteView message,
                             const TakeReply& take, bool by_others, Ack& ack) {
  outgoing_.clear();
  const bool dump = (flags & NLM_F_DUMP) == NLM_F_DUMP;
  append(family, static_cast<std::uint16_t>(flags | (dump ? 0 : NLM_F_ACK)), message, {});
  const std::uint32_t sequence = sequence_;
  if (!by_others) {
    send();
  } else if (rights().send_to_module(fd_.get(), named_fd(message), outgoing_.data(),
                                     outgoing_.size()) < 0) {
    return false;
  }
  ack = {};
  bool interrupted = false;
  receive([&](const Header& header, ByteView bytes) {
    // Of a request before, whose answer was not waited for.
    if (header.sequence != sequence) return true;
    interrupted = interrupted || (header.flags & NLM_F_DUMP_INTR) != 0;
    if (header.type == NLMSG_ERROR || header.type == NLMSG_DONE) {
      ack = read_ack(header.type, header.flags, bytes);
      return false;
    }
    if (header.type == family) take(without_padding(bytes));
    return true;
  });
  ack.interrupted = interrupted;
  return true;
}

void NetlinkSocket::begin(Ended ended) {
  outgoing_.clear();
  flushed_ = 0;
  ended_ = std::move(ended);
}

void NetlinkSocket::add(std::uint16_t family, ByteView message, ByteView more) {
  const bool full = outgoing_.size() + message.size() + more.size() > kBatchBytes ||
                    sequence_ + 1 - first_ >= kBatchMessages;
  if (!outgoing_.empty() && full) flush();
  append(family, 0, message, more);
}

// Only the last one's end is always told, those of the others when they fail.
void NetlinkSocket::flush() {
  if (outgoing_.empty()) return;
  nlmsghdr header{};
  std::memcpy(&header, outgoing_.data() + last_, sizeof header);
  header.nlmsg_flags |= NLM_F_ACK;
  std::memcpy(outgoing_.data() + last_, &header, sizeof header);
  const std::uint32_t first = first_;
  const std::uint32_t last = sequence_;
  send();
  receive([&](const Header& head, ByteView bytes) {
    const std::uint32_t number = head.sequence - first;
    if (number > last - first || head.type != NLMSG_ERROR) return true;
    const Ack ack = read_ack(head.type, head.flags, bytes);
    if (ack.error_number != 0) ended_(flushed_ + number, ack);
    return head.sequence != last;
  });
  flushed_ += last - first + 1;
}

}  // namespace udpcr
