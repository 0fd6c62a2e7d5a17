// SPDX-License-Identifier: LGPL-2.1-or-later
#include "packet.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "alive.hpp"
#include "persist.hpp"

namespace udpcr::keeper {

void Packet::copy_front(void* target, std::size_t size) const {
  if (data.size() < size) {
    throw Error("message of " + std::to_string(data.size()) + " bytes where " +
                std::to_string(size) + " are needed: program and keeper differ in version");
  }
  std::memcpy(target, data.data(), size);
}

void check_packet(ByteView data) {
  wire::WireHeader header;
  if (data.size() >= sizeof header) std::memcpy(&header, data.data(), sizeof header);
  switch (wire::soundness_of(header, data.size())) {
    case wire::Soundness::sound:
      return;
    case wire::Soundness::foreign:
      throw Error("a packet of " + std::to_string(data.size()) +
                  " bytes that is no message of udpcr's, or of an older release's: install both "
                  "ends from the same release");
    case wire::Soundness::other_version:
      throw Error("the other end speaks version " + std::to_string(header.version) +
                      " of the protocol, this keeper " + std::to_string(wire::kVersion) +
                      ": install both from the same release",
                  EPROTONOSUPPORT);
    case wire::Soundness::cut:
      throw Error("a message that states " + std::to_string(header.length) + " bytes has " +
                  std::to_string(data.size()));
  }
}

wire::Type Packet::type() const { return as<wire::WireHeader>().type; }

namespace {

// Of asm-generic/socket.h, Linux 6.5.
constexpr int kScmPidfd = 4;

constexpr std::size_t kControlSize =
    CMSG_SPACE(sizeof(int) * wire::kMaxFds) + CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int));

void take_fds(const cmsghdr* control, std::vector<UniqueFd>& fds) {
  const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
    fds.emplace_back(fd);
  }
}

void take_control(const msghdr& message, std::vector<UniqueFd>& fds, Sender& sender) {
  for (const cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(const_cast<msghdr*>(&message), const_cast<cmsghdr*>(control))) {
    if (control->cmsg_level != SOL_SOCKET) continue;
    if (control->cmsg_type == SCM_RIGHTS) {
      take_fds(control, fds);
    } else if (control->cmsg_type == SCM_CREDENTIALS) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(control), sizeof credentials);
      sender.pid = credentials.pid;
      sender.uid = credentials.uid;
      sender.gid = credentials.gid;
    } else if (control->cmsg_type == kScmPidfd) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(control), sizeof fd);
      // Negative: it has ended.
      if (fd >= 0) sender.pidfd = UniqueFd(fd);
    }
  }
}

// As recvmsg(2); `flags`: those of the message.
ssize_t receive(int channel, void* data, std::size_t size, std::vector<UniqueFd>& fds,
                Sender& sender, int& flags) {
  alignas(cmsghdr) unsigned char control[kControlSize];
  iovec part{data, size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t received = 0;
  do {
    received = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    // ECONNRESET: it has not read all of ours; what it sent before comes yet.
  } while (received < 0 && (errno == EINTR || errno == ECONNRESET));
  sender = {};
  if (received >= 0) take_control(message, fds, sender);
  flags = message.msg_flags;
  return received;
}

}  // namespace

Received receive_packet(int channel, Packet& packet) {
  packet.data.resize(wire::kMaxPacket);
  packet.fds.clear();
  int flags = 0;
  const ssize_t size =
      receive(channel, packet.data.data(), packet.data.size(), packet.fds, packet.sender, flags);
  if (size < 0) {
    packet.data.clear();
    // Short of memory or fds is not the end: poll(2) tells of the packet again.
    return is_passing(errno) ? Received::nothing : Received::end;
  }
  packet.data.resize(static_cast<std::size_t>(size));
  if (size == 0) return Received::end;
  if ((flags & MSG_TRUNC) != 0) throw Error("message longer than the protocol allows");
  if ((flags & MSG_CTRUNC) != 0) {
    throw Error(
        "file descriptors were lost on the way to the keeper: its RLIMIT_NOFILE is too low; raise "
        "the hard limit (ulimit -Hn)");
  }
  check_packet(packet.data);
  return Received::packet;
}

Received await_packet(int channel, Packet& packet, int patience_ms) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(patience_ms);
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd arrival{channel, POLLIN, 0};
    const int ready = patience_ms < 0 ? poll(&arrival, 1, -1)
                                      : poll_alive(&arrival, 1, int(std::max<long>(left, 0)));
    if (ready < 0 && is_passing(errno)) {
      if (errno != EINTR) poll(nullptr, 0, 1);
      continue;
    }
    if (ready <= 0) return Received::nothing;
    const Received received = receive_packet(channel, packet);
    if (received != Received::nothing) return received;
  }
}

bool send_packet(int channel, const void* data, std::size_t size, std::span<const int> fds,
                 int patience_ms) {
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int) * wire::kMaxFds)] = {};
  wire::WireHeader header;
  std::memcpy(&header, data, sizeof header);
  header.length = std::uint32_t(size);
  iovec parts[] = {
      {&header, sizeof header},
      {static_cast<char*>(const_cast<void*>(data)) + sizeof header, size - sizeof header}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  constexpr int kShort = 50;  // attempts while there is no memory, 1 ms apart
  for (int attempt = 0;;) {
    if (sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
    if (errno == EINTR) continue;
    if ((errno == ENOMEM || errno == ENOBUFS) && ++attempt < kShort) {
      poll(nullptr, 0, 1);
      continue;
    }
    if (errno != EAGAIN) return false;
    pollfd room{channel, POLLOUT, 0};
    if (poll_alive(&room, 1, patience_ms) <= 0) return false;
  }
}

}  // namespace udpcr::keeper
