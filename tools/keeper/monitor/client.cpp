// SPDX-License-Identifier: LGPL-2.1-or-later
#include "client.hpp"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "channel.hpp"
#include "keeper/alive.hpp"
#include "options.hpp"

namespace udpcr::keeper::monitor {

namespace {

// It does nothing that could take long; a busy machine may.
constexpr int kPatienceMs = 3'000;

ByteView bytes_of(const void* data, std::size_t size) {
  return {static_cast<const std::uint8_t*>(data), size};
}

// The program sees that its keeper lives meanwhile.
bool await(int channel) {
  pollfd waiting{channel, POLLIN, 0};
  return poll_alive(&waiting, 1, kPatienceMs) == 1;
}

bool is_refused(int error) { return error == EPERM || error == EACCES; }

}  // namespace

Client::Client(UniqueFd channel, bool may_send_raw)
    : channel_(std::move(channel)), owner_(getpid()), may_send_raw_(may_send_raw) {}

// In a forked copy: the keeper reads its own answers.
bool Client::connect_anew() noexcept {
  int pair[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  Request request{};
  request.operation = Operation::channel;
  const int fd = theirs.get();
  if (!send_parts(channel_.get(), bytes_of(&request, sizeof request), {}, {&fd, 1})) return false;
  channel_ = std::move(ours);
  owner_ = getpid();
  return true;
}

int Client::ask(const Ask& ask, ByteView payload, std::initializer_list<int> fds, Answer& answer,
                UniqueFd* fd, bool in_place) noexcept {
  if (!channel_ || payload.size() > kMostPayload) return EPERM;
  if (owner_ != getpid() && !connect_anew()) return EPERM;
  Request request{ask.operation, 0, {}, static_cast<std::uint32_t>(payload.size()), ask.value};
  std::copy(std::begin(ask.number), std::end(ask.number), request.number);
  int shown[kMostFds];
  std::size_t count = 0;
  for (const int one : fds) {
    if (one >= 0) shown[count++] = one;
  }
  if (in_place && place_ >= 0) {
    request.in_place = 1;
    shown[count++] = place_;
  }
  std::vector<UniqueFd> received;
  std::uint8_t buffer[sizeof answer];
  std::size_t size = 0;
  if (!send_parts(channel_.get(), bytes_of(&request, sizeof request), payload, {shown, count}) ||
      !await(channel_.get()) || !receive_parts(channel_.get(), buffer, size, received) ||
      size != sizeof answer) {
    // What comes later would be taken for another answer.
    channel_.reset();
    return EPERM;
  }
  std::memcpy(&answer, buffer, sizeof answer);
  if (fd != nullptr && !received.empty()) *fd = std::move(received.front());
  return answer.error;
}

int Client::call(const Ask& ask, ByteView payload, std::initializer_list<int> fds, UniqueFd* fd,
                 bool in_place) noexcept {
  Answer answer{};
  int error = this->ask(ask, payload, fds, answer, fd, in_place);
  if (error == 0 && fd != nullptr && !*fd) error = EMFILE;
  errno = error;
  return error == 0 ? 0 : -1;
}

int Client::place_of(int socket) noexcept {
  const int own = PrivilegedCalls::place_of(socket);
  if (own >= 0 || !is_refused(errno)) return own;
  UniqueFd fd;
  call({Operation::place_of}, {}, {socket}, &fd);
  return fd.release();
}

int Client::socket(int family, int type, int protocol) noexcept {
  // The module looks at the rights of whoever has opened the netlink socket, too.
  const bool of_module = family == AF_NETLINK && protocol == NETLINK_GENERIC;
  if (place_ < 0 && !of_module) return PrivilegedCalls::socket(family, type, protocol);
  UniqueFd fd;
  call({Operation::socket, {family, type, protocol}}, {}, {}, &fd, true);
  if (!fd && place_ < 0) return PrivilegedCalls::socket(family, type, protocol);
  return fd.release();
}

int Client::open_proc_net(const char* name) noexcept {
  if (place_ < 0) return PrivilegedCalls::open_proc_net(name);
  UniqueFd fd;
  call({Operation::proc_net}, bytes_of(name, std::strlen(name)), {}, &fd, true);
  return fd.release();
}

int Client::setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  if (PrivilegedCalls::setsockopt(fd, level, name, value, size) == 0) return 0;
  if (!is_refused(errno)) return -1;
  return call({Operation::option, {level, name}}, bytes_of(value, size), {fd});
}

int Client::bind(int fd, const sockaddr* name, socklen_t size) noexcept {
  if (PrivilegedCalls::bind(fd, name, size) == 0) return 0;
  if (!is_refused(errno)) return -1;
  return call({Operation::bind}, bytes_of(name, size), {fd});
}

int Client::chown(int fd, uid_t user) noexcept {
  if (PrivilegedCalls::chown(fd, user) == 0) return 0;
  if (!is_refused(errno)) return -1;
  return call({Operation::chown, {static_cast<std::int32_t>(user)}}, {}, {fd});
}

ssize_t Client::send_more(int fd, const msghdr& message) noexcept {
  const ssize_t sent = PrivilegedCalls::send_more(fd, message);
  if (sent >= 0 || !is_refused(errno) || message.msg_iovlen != 1) return sent;
  try {
    Bytes payload;
    const auto add = [&](const void* data, std::size_t size) {
      const ByteView bytes = bytes_of(data, size);
      payload.insert(payload.end(), bytes.begin(), bytes.end());
    };
    add(message.msg_name, message.msg_namelen);
    add(message.msg_control, message.msg_controllen);
    add(message.msg_iov->iov_base, message.msg_iov->iov_len);
    const Ask ask{Operation::send_more,
                  {static_cast<std::int32_t>(message.msg_namelen),
                   static_cast<std::int32_t>(message.msg_controllen)}};
    if (call(ask, payload, {fd}) != 0) return -1;
    return static_cast<ssize_t>(message.msg_iov->iov_len);
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    return -1;
  }
}

// Only for joining groups: the monitor has the one that sends.
int Client::raw_socket(int family) noexcept { return socket(family, SOCK_DGRAM, 0); }

namespace {

std::uint32_t control_number(const msghdr& message, int level, int type) {
  std::uint32_t number = 0;
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(const_cast<msghdr*>(&message), control)) {
    if (control->cmsg_level != level || control->cmsg_type != type) continue;
    // Of in6_pktinfo the index stands behind the address.
    const std::size_t place = type == IPV6_PKTINFO && level == SOL_IPV6 ? 16 : 0;
    std::memcpy(&number, CMSG_DATA(control) + place, sizeof number);
  }
  return number;
}

RawPacket described(const msghdr& message) {
  RawPacket packet{};
  packet.size = static_cast<std::uint32_t>(message.msg_iov->iov_len);
  sockaddr_storage name{};
  std::memcpy(&name, message.msg_name, std::min<std::size_t>(message.msg_namelen, sizeof name));
  packet.scope = Address::from_sockaddr(name).scope;
  packet.interface = name.ss_family == AF_INET ? control_number(message, SOL_IP, IP_PKTINFO)
                                               : control_number(message, SOL_IPV6, IPV6_PKTINFO);
  packet.mark = control_number(message, SOL_SOCKET, SO_MARK);
  packet.priority = control_number(message, SOL_SOCKET, SO_PRIORITY);
  return packet;
}

}  // namespace

// The first one at least, as many as one request holds.
int Client::send_raw(int /*raw*/, int target, mmsghdr* messages, unsigned count) noexcept {
  try {
    Bytes payload;
    unsigned taken = 0;
    while (taken < count) {
      const msghdr& message = messages[taken].msg_hdr;
      const RawPacket packet = described(message);
      const std::size_t end = payload.size() + sizeof packet + align(packet.size);
      if (end > kMostPayload && taken > 0) break;
      const ByteView head = bytes_of(&packet, sizeof packet);
      payload.insert(payload.end(), head.begin(), head.end());
      const ByteView bytes = bytes_of(message.msg_iov->iov_base, packet.size);
      payload.insert(payload.end(), bytes.begin(), bytes.end());
      payload.resize(end);
      ++taken;
    }
    const int family = static_cast<const sockaddr*>(messages->msg_hdr.msg_name)->sa_family;
    Answer answer{};
    const int error = ask({Operation::raw, {family, static_cast<std::int32_t>(taken)}}, payload,
                          {target}, answer, nullptr, true);
    if (error == 0) return static_cast<int>(answer.count);
    errno = error;
    return -1;
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    return -1;
  }
}

namespace {

unsigned command_of(const void* request, std::size_t size) {
  return size > NLMSG_HDRLEN ? static_cast<const std::uint8_t*>(request)[NLMSG_HDRLEN] : 0U;
}

}  // namespace

ssize_t Client::send_to_module(int netlink, int socket, const void* request,
                               std::size_t size) noexcept {
  if (parks_for_sessions_ && command_of(request, size) == UDPCR_CMD_PARK) return -1;
  const int error = call({Operation::module, {socket}}, bytes_of(request, size), {netlink, socket});
  return error == 0 ? static_cast<ssize_t>(size) : -1;
}

int Client::claim_parked(std::uint64_t inode, std::uint64_t cookie, ByteView key) noexcept {
  if (!channel_) return PrivilegedCalls::claim_parked(inode, cookie, key);
  try {
    const ByteView head = bytes_of(&cookie, sizeof cookie);
    Bytes payload(head.begin(), head.end());
    payload.insert(payload.end(), key.begin(), key.end());
    UniqueFd fd;
    call({Operation::claim, {}, inode}, payload, {}, &fd);
    return fd.release();
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    return -1;
  }
}

int Client::open_file(int folder, const char* name, int flags) noexcept {
  const int own = PrivilegedCalls::open_file(folder, name, flags);
  if (own >= 0 || !is_refused(errno)) return own;
  UniqueFd fd;
  call({Operation::open_file, {flags}}, bytes_of(name, std::strlen(name) + 1), {}, &fd);
  return fd.release();
}

int Client::rename_file(int folder, const char* from, const char* to) noexcept {
  if (PrivilegedCalls::rename_file(folder, from, to) == 0) return 0;
  if (!is_refused(errno)) return -1;
  const std::string names = std::string(from) + '\0' + to + '\0';
  return call({Operation::rename_file}, bytes_of(names.data(), names.size()), {});
}

int Client::unlink_file(int folder, const char* name) noexcept {
  if (PrivilegedCalls::unlink_file(folder, name) == 0) return 0;
  if (!is_refused(errno)) return -1;
  return call({Operation::unlink_file}, bytes_of(name, std::strlen(name) + 1), {});
}

void Client::setup(const std::string& folder, const std::string& name, int signal, int listener) {
  const std::string names = folder + '\0' + name + '\0';
  call({Operation::setup, {signal}}, bytes_of(names.data(), names.size()), {listener});
}

UniqueFd Client::folder() {
  UniqueFd fd;
  call({Operation::folder}, {}, {}, &fd);
  return fd;
}

void Client::join(pid_t pid, int pidfd, int channel) {
  call({Operation::join, {pid}}, {}, {pidfd, channel});
}

int Client::signal(pid_t pid, pid_t thread, int number, std::uint64_t value) {
  Answer answer{};
  return ask({Operation::signal, {pid, thread, number}, value}, {}, {}, answer, nullptr);
}

std::optional<std::set<std::uint64_t>> Client::sockets(pid_t pid) {
  Answer answer{};
  UniqueFd file;
  if (ask({Operation::sockets, {pid}}, {}, {}, answer, &file) != 0 || !file) return std::nullopt;
  std::vector<std::uint64_t> inodes(answer.count);
  const std::size_t size = inodes.size() * sizeof(std::uint64_t);
  if (pread(file.get(), inodes.data(), size, 0) != static_cast<ssize_t>(size)) return std::nullopt;
  return std::set<std::uint64_t>(inodes.begin(), inodes.end());
}

std::optional<int> Client::child(pid_t child, pid_t parent) {
  Answer answer{};
  if (ask({Operation::child, {child, parent}}, {}, {}, answer, nullptr) != 0) return std::nullopt;
  return answer.value;
}

}  // namespace udpcr::keeper::monitor
