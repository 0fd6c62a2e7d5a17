// SPDX-License-Identifier: LGPL-2.1-or-later
#include "talk.hpp"

#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace udpcr::test {
namespace {

constexpr std::size_t kRoom = std::size_t{128} * 1024;
// linux/netlink.h, NLA_TYPE_MASK: without the bits for nests and byte order.
constexpr std::uint16_t kTypeMask = 0x3fff;
constexpr std::uint16_t kNested = 0x8000;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

void check(bool good, const std::string& what) {
  if (!good) fail(what + ": " + std::strerror(errno));
}

void append(Bytes& to, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  to.insert(to.end(), bytes, bytes + size);
  to.resize(NLA_ALIGN(to.size()));
}

}  // namespace

const Attr* Attrs::find(std::uint16_t type) const {
  const Attr* found = nullptr;
  for (const Attr& one : all) {
    if (one.type != type) continue;
    if (found != nullptr) fail("attribute " + std::to_string(type) + " comes twice");
    found = &one;
  }
  return found;
}

Bytes Attrs::bytes(std::uint16_t type) const {
  const Attr* found = find(type);
  if (found == nullptr) fail("attribute " + std::to_string(type) + " is absent");
  return found->value;
}

template <typename T>
T Attrs::as(std::uint16_t type) const {
  const Bytes value = bytes(type);
  T result{};
  if (value.size() != sizeof result) {
    fail("attribute " + std::to_string(type) + " has " + std::to_string(value.size()) + " bytes");
  }
  std::memcpy(&result, value.data(), sizeof result);
  return result;
}
template std::uint8_t Attrs::as(std::uint16_t) const;
template std::uint16_t Attrs::as(std::uint16_t) const;
template std::uint32_t Attrs::as(std::uint16_t) const;
template std::uint64_t Attrs::as(std::uint16_t) const;

std::uint16_t Attrs::port(std::uint16_t type) const { return ntohs(u16(type)); }

std::string Attrs::string(std::uint16_t type) const {
  const Bytes value = bytes(type);
  if (value.empty() || value.back() != 0) fail("a string without its NUL");
  return std::string(value.begin(), value.end() - 1);
}

std::vector<Attrs> Attrs::nests(std::uint16_t type) const {
  std::vector<Attrs> result;
  for (const Attr& one : all) {
    if (one.type == type) result.push_back(parse(one.value));
  }
  return result;
}

Address Attrs::address(std::uint16_t address, std::uint16_t port_type, std::uint16_t scope) const {
  const Bytes ip = bytes(address);
  Address result;
  if (ip.size() != 4 && ip.size() != 16) fail("an address of " + std::to_string(ip.size()));
  result.family = ip.size() == 4 ? AF_INET : AF_INET6;
  std::memcpy(result.bytes, ip.data(), ip.size());
  if (port_type != 0) result.port = port(port_type);
  if (scope != 0 && has(scope)) result.scope = u32(scope);
  return result;
}

Attrs Attrs::parse(ByteView bytes) {
  Attrs result;
  while (!bytes.empty()) {
    nlattr head{};
    if (bytes.size() < sizeof head) fail("trailing bytes behind the attributes");
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.nla_len < sizeof head || head.nla_len > bytes.size()) fail("a broken attribute");
    const auto value = bytes.subspan(sizeof head, head.nla_len - sizeof head);
    result.all.push_back(
        {static_cast<std::uint16_t>(head.nla_type & kTypeMask), Bytes(value.begin(), value.end())});
    bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), NLA_ALIGN(head.nla_len)));
  }
  return result;
}

Request& Request::raw(std::uint16_t type, const void* data, std::size_t size) {
  nlattr head{};
  head.nla_type = type;
  head.nla_len = static_cast<std::uint16_t>(sizeof head + size);
  if (head.nla_len != sizeof head + size) fail("an attribute of more than 65,531 bytes");
  append(payload_, &head, sizeof head);
  append(payload_, data, size);
  return *this;
}

Request& Request::port(std::uint16_t type, std::uint16_t value) { return u16(type, htons(value)); }

Request& Request::nest(std::uint16_t type, const Request& inner) {
  return bytes(type | kNested, inner.payload());
}

Request& Request::copy(const Attrs& attributes) {
  for (const Attr& one : attributes.all) {
    const bool nested = one.type == UDPCR_A_ERRMSG;
    if (one.type != UDPCR_A_PAD) bytes(nested ? one.type | kNested : one.type, one.value);
  }
  return *this;
}

Request& Request::socket(int fd, bool proof) {
  u64(UDPCR_A_INO, inode_of(fd));
  if (proof) u32(UDPCR_A_FD, static_cast<std::uint32_t>(fd));
  return *this;
}

const Message& Answer::one() const {
  if (messages.size() != 1) fail(std::to_string(messages.size()) + " replies instead of 1");
  return messages.front();
}

Talk::Talk() : room_(kRoom) {
  fd_ = UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  check(static_cast<bool>(fd_), "a netlink socket");
  const int on = 1;
  check(::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) == 0, "EXT_ACK");
  check(::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on) == 0, "CAP_ACK");
  family_ = GENL_ID_CTRL;
  const Answer answer =
      ask(Request(CTRL_CMD_GETFAMILY)
              .raw(CTRL_ATTR_FAMILY_NAME, UDPCR_GENL_NAME, sizeof UDPCR_GENL_NAME));
  if (answer.error != 0) {
    fail("the kernel has no family " UDPCR_GENL_NAME " (" + to_string(answer) +
         "): load udpcr.ko, as tests/vm/run.py does");
  }
  family_ = answer.one().u16(CTRL_ATTR_FAMILY_ID);
}

void Talk::send(const Request& request, std::uint16_t flags) {
  nlmsghdr head{};
  genlmsghdr generic{};
  head.nlmsg_len =
      static_cast<std::uint32_t>(NLMSG_HDRLEN + GENL_HDRLEN + request.payload().size());
  head.nlmsg_type = family_;
  head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  head.nlmsg_seq = ++sequence_;
  generic.cmd = request.command();
  generic.version = UDPCR_GENL_VERSION;
  Bytes message;
  append(message, &head, sizeof head);
  append(message, &generic, sizeof generic);
  append(message, request.payload().data(), request.payload().size());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const auto* name = reinterpret_cast<const sockaddr*>(&kernel);
  const ssize_t sent =
      by_write_ ? ::write(fd_.get(), message.data(), message.size())
                : ::sendto(fd_.get(), message.data(), message.size(), 0, name, sizeof kernel);
  check(sent == static_cast<ssize_t>(message.size()), "send to the kernel");
}

void Talk::send_by_write() { by_write_ = true; }

// Adds what one recv gives; false when that ended the exchange.
bool Talk::receive(Answer& answer) {
  const ssize_t got = ::recv(fd_.get(), room_.data(), room_.size(), MSG_TRUNC);
  check(got >= 0, "recv from the kernel");
  if (static_cast<std::size_t>(got) > room_.size()) fail("a reply of " + std::to_string(got));
  ByteView left(room_.data(), static_cast<std::size_t>(got));
  while (left.size() >= NLMSG_HDRLEN) {
    nlmsghdr head{};
    std::memcpy(&head, left.data(), sizeof head);
    if (head.nlmsg_len < NLMSG_HDRLEN || head.nlmsg_len > left.size()) fail("a broken message");
    const ByteView body = left.subspan(NLMSG_HDRLEN, head.nlmsg_len - NLMSG_HDRLEN);
    left = left.subspan(std::min<std::size_t>(left.size(), NLMSG_ALIGN(head.nlmsg_len)));
    if (head.nlmsg_type == NLMSG_ERROR || head.nlmsg_type == NLMSG_DONE) {
      std::int32_t error = 0;
      std::memcpy(&error, body.data(), sizeof error);
      answer.error = -error;
      if ((head.nlmsg_flags & NLM_F_ACK_TLVS) != 0) {
        const std::size_t fixed = head.nlmsg_type == NLMSG_ERROR ? sizeof(nlmsgerr) : sizeof error;
        const Attrs said = Attrs::parse(body.subspan(fixed));
        if (said.has(NLMSGERR_ATTR_MSG)) answer.sentence = said.string(NLMSGERR_ATTR_MSG);
      }
      return false;
    }
    if (head.nlmsg_type != family_) continue;
    Message message;
    message.command = body[0];
    message.all = Attrs::parse(body.subspan(GENL_HDRLEN)).all;
    answer.messages.push_back(std::move(message));
  }
  return true;
}

Answer Talk::exchange(const Request& request, std::uint16_t flags) {
  send(request, flags);
  return collect();
}

Answer Talk::dump(const Request& request) { return exchange(request, NLM_F_DUMP); }
void Talk::post(const Request& request) { send(request, 0); }
void Talk::begin_dump(const Request& request) { send(request, NLM_F_DUMP); }
bool Talk::next_part(Answer& answer) { return receive(answer); }

Answer Talk::collect() {
  Answer answer;
  while (receive(answer)) {
  }
  return answer;
}

Answer Talk::must(const Request& request) {
  Answer answer = ask(request);
  if (answer.error != 0) {
    fail("command " + std::to_string(request.command()) + ": " + to_string(answer));
  }
  return answer;
}

std::vector<Message> Talk::must_dump(const Request& request) {
  Answer answer = dump(request);
  if (answer.error != 0) {
    fail("dump " + std::to_string(request.command()) + ": " + to_string(answer));
  }
  return std::move(answer.messages);
}

std::vector<Message> Talk::queue(int fd, std::uint32_t which) {
  settle();
  return must_dump(Request(UDPCR_CMD_QUEUE).socket(fd).u32(UDPCR_A_QUEUE, which));
}

std::vector<Message> Talk::held(std::uint32_t handle) {
  return must_dump(Request(UDPCR_CMD_QUEUE).u32(UDPCR_A_HANDLE, handle));
}

Message Talk::take(int fd, std::uint32_t handle) {
  settle();
  return must(Request(UDPCR_CMD_TAKE).socket(fd).u32(UDPCR_A_HANDLE, handle)).one();
}

void Talk::stage(int fd, std::uint32_t handle, std::uint32_t which) {
  Request request(UDPCR_CMD_STAGE);
  request.socket(fd).u32(UDPCR_A_HANDLE, handle);
  if (which != UDPCR_QUEUE_RECEIVE) request.u32(UDPCR_A_QUEUE, which);
  must(request);
}

void Talk::add(std::uint32_t handle, const Attrs& datagram) {
  must(Request(UDPCR_CMD_DATAGRAM).u32(UDPCR_A_HANDLE, handle).copy(datagram));
}

void Talk::put(std::uint32_t handle, std::uint32_t position) {
  must(Request(UDPCR_CMD_PUT).u32(UDPCR_A_HANDLE, handle).u32(UDPCR_A_POSITION, position));
}

void Talk::drop(std::uint32_t handle) { must(Request(UDPCR_CMD_DROP).u32(UDPCR_A_HANDLE, handle)); }

std::uint64_t inode_of(int fd) {
  struct stat status {};
  check(::fstat(fd, &status) == 0, "fstat of fd " + std::to_string(fd));
  return status.st_ino;
}

std::string to_string(const Answer& answer) {
  const char* name = ::strerrorname_np(answer.error);
  return std::string(name != nullptr ? name : "?") + ": " + answer.sentence;
}

}  // namespace udpcr::test
