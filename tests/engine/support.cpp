// SPDX-License-Identifier: LGPL-2.1-or-later
#include "support.hpp"

#include <arpa/inet.h>
#include <grp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <udpcr/udpcr_netlink.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <tuple>

namespace udpcr::test {
namespace {

void check(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what + ": " + std::strerror(errno));
}

// This thread stays where it is while this lives.
class OneProcessor {
 public:
  OneProcessor() {
    check(::sched_getaffinity(0, sizeof before_, &before_) == 0, "sched_getaffinity");
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(::sched_getcpu(), &here);
    check(::sched_setaffinity(0, sizeof here, &here) == 0, "sched_setaffinity");
  }
  ~OneProcessor() { ::sched_setaffinity(0, sizeof before_, &before_); }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

 private:
  cpu_set_t before_;
};

// What this processor has sent over loopback or veth waits in its backlog
// (net/core/dev.c, netif_rx); a busy machine leaves that to ksoftirqd, so that
// sendto(2) returns before the datagram has arrived.  One to ourselves comes
// after it.
void await_backlog() {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  connect_to(fd.get(), local_of(fd.get()));
  char byte = 0;
  check(::send(fd.get(), &byte, 1, 0) == 1 && ::recv(fd.get(), &byte, 1, 0) == 1, "backlog");
}

}  // namespace

bool with_module() {
  const char* const wanted = std::getenv("TEST_ENGINE");
  if (wanted == nullptr || std::strcmp(wanted, "userspace") == 0) return false;
  if (std::strcmp(wanted, "module") == 0) return true;
  throw std::runtime_error(std::string("TEST_ENGINE is ") + wanted + ": module or userspace");
}

std::unique_ptr<Engine> engine_under_test() {
  return make_engine(with_module() ? UseEngine::module : UseEngine::userspace);
}

Address address(const std::string& ip, std::uint16_t port) {
  Address result;
  result.port = port;
  if (::inet_pton(AF_INET, ip.c_str(), result.bytes) == 1) {
    result.family = AF_INET;
  } else {
    check(::inet_pton(AF_INET6, ip.c_str(), result.bytes) == 1, ip);
    result.family = AF_INET6;
  }
  return result;
}

Bytes bytes(const std::string& text) { return Bytes(text.begin(), text.end()); }
std::string text(const Bytes& bytes) { return std::string(bytes.begin(), bytes.end()); }

UniqueFd unbound(int family, int protocol) {
  UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, protocol));
  check(static_cast<bool>(fd), "socket");
  return fd;
}

void bind_to(int fd, const Address& where) {
  socklen_t size = 0;
  const sockaddr_storage name = where.to_sockaddr(size);
  check(::bind(fd, reinterpret_cast<const sockaddr*>(&name), size) == 0,
        "bind " + to_string(where));
}

UniqueFd socket_at(const Address& where, int flags) {
  UniqueFd fd(::socket(where.family, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0));
  check(static_cast<bool>(fd), "socket");
  bind_to(fd.get(), where);
  return fd;
}

void connect_to(int fd, const Address& where) {
  socklen_t size = 0;
  const sockaddr_storage name = where.to_sockaddr(size);
  check(::connect(fd, reinterpret_cast<const sockaddr*>(&name), size) == 0,
        "connect " + to_string(where));
}

Address local_of(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  check(::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0, "getsockname");
  return Address::from_sockaddr(name);
}

void send_to(int fd, const Address& where, const std::string& payload) {
  const OneProcessor here;
  socklen_t size = 0;
  const sockaddr_storage name = where.to_sockaddr(size);
  check(::sendto(fd, payload.data(), payload.size(), 0, reinterpret_cast<const sockaddr*>(&name),
                 size) == static_cast<ssize_t>(payload.size()),
        "sendto " + to_string(where));
  await_backlog();
}

void set(int fd, int level, int name, int value) {
  check(::setsockopt(fd, level, name, &value, sizeof value) == 0,
        "setsockopt " + std::to_string(level) + "/" + std::to_string(name));
}

int get(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  check(::getsockopt(fd, level, name, &value, &size) == 0,
        "getsockopt " + std::to_string(level) + "/" + std::to_string(name));
  return value;
}

void ask_for_everything(int fd) {
  set(fd, SOL_IP, IP_PKTINFO, 1);
  set(fd, SOL_IP, IP_RECVTOS, 1);
  set(fd, SOL_IP, IP_RECVTTL, 1);
  if (get(fd, SOL_SOCKET, SO_DOMAIN) != AF_INET6) return;
  set(fd, SOL_IPV6, IPV6_RECVPKTINFO, 1);
  set(fd, SOL_IPV6, IPV6_RECVTCLASS, 1);
  set(fd, SOL_IPV6, IPV6_RECVHOPLIMIT, 1);
}

std::vector<Seen> read_all(int fd) {
  std::vector<Seen> all;
  std::vector<char> room(70000);
  for (;;) {
    sockaddr_storage name{};
    iovec vector{room.data(), room.size()};
    alignas(cmsghdr) char control[1024];
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(fd, &message, MSG_DONTWAIT);
    if (got < 0) {
      check(errno == EAGAIN, "recvmsg");
      return all;
    }
    Seen seen;
    seen.source = Address::from_sockaddr(name);
    seen.payload.assign(room.data(), static_cast<std::size_t>(got));
    for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr;
         item = CMSG_NXTHDR(&message, item)) {
      char printed[INET6_ADDRSTRLEN] = {};
      int number = 0;
      const unsigned char* data = CMSG_DATA(item);
      const bool v4 = item->cmsg_level == SOL_IP;
      if (v4 && item->cmsg_type == IP_PKTINFO) {
        in_pktinfo info{};
        std::memcpy(&info, data, sizeof info);
        seen.destination = ::inet_ntop(AF_INET, &info.ipi_addr, printed, sizeof printed);
        seen.ifindex = static_cast<unsigned>(info.ipi_ifindex);
      } else if (item->cmsg_level == SOL_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
        in6_pktinfo info{};
        std::memcpy(&info, data, sizeof info);
        if (!seen.destination.empty()) continue;
        seen.destination = ::inet_ntop(AF_INET6, &info.ipi6_addr, printed, sizeof printed);
        seen.ifindex = info.ipi6_ifindex;
      } else if (v4 && item->cmsg_type == IP_TOS) {
        seen.tos = *data;
      } else if ((v4 && item->cmsg_type == IP_TTL) ||
                 (item->cmsg_level == SOL_IPV6 && item->cmsg_type == IPV6_HOPLIMIT)) {
        std::memcpy(&number, data, sizeof number);
        seen.ttl = number;
      } else if (item->cmsg_level == SOL_IPV6 && item->cmsg_type == IPV6_TCLASS) {
        std::memcpy(&number, data, sizeof number);
        seen.tos = number;
      }
    }
    all.push_back(std::move(seen));
  }
}

std::vector<Seen> read_some(int fd, std::size_t count) {
  std::vector<Seen> all;
  for (int i = 0; i < 2000; ++i) {
    for (Seen& one : read_all(fd)) all.push_back(std::move(one));
    if (all.size() >= count) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return all;
}

std::vector<std::string> payloads(const std::vector<Seen>& seen) {
  std::vector<std::string> all;
  for (const Seen& one : seen) all.push_back(one.payload);
  return all;
}

Datagram datagram(const Address& source, const Address& destination, const std::string& payload) {
  Datagram result;
  result.source = source;
  result.destination = destination;
  result.tos = 0;
  result.ttl = 64;
  result.payload = bytes(payload);
  return result;
}

SocketState state_of(const Address& where, const std::vector<Datagram>& queue) {
  SocketState state;
  state.record.family = where.family;
  state.record.local = where;
  state.record.uid = ::geteuid();
  state.record.flags = UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_PORT;
  for (const Datagram& one : queue) state.receive_queue.append(encode_datagram(one));
  return state;
}

std::vector<Datagram> decode_all(const MessageStream& stream) {
  std::vector<Datagram> all;
  std::vector<std::uint16_t> unknown;
  for (std::size_t offset = 0;;) {
    const ByteView message = stream.next(offset);
    if (message.empty()) return all;
    all.push_back(decode_datagram(message, unknown));
  }
}

bool names(const std::vector<Loss>& losses, const std::string& what) {
  for (const Loss& loss : losses) {
    if (loss.what == what) return true;
  }
  return false;
}

std::string list(const std::vector<Loss>& losses) {
  std::string all;
  for (const Loss& loss : losses) all += loss.what + ": " + loss.why + " | " + loss.remedy + "\n";
  return all;
}

void wait_for_queue(int fd, std::uint32_t more_than) {
  for (int i = 0; i < 2000; ++i) {
    std::uint32_t info[9] = {};
    socklen_t size = sizeof info;
    check(::getsockopt(fd, SOL_SOCKET, 55, info, &size) == 0, "SO_MEMINFO");
    if (info[0] > more_than) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  throw std::runtime_error("nothing arrived within 2 s");
}

UniqueFd timestamps() {
  UniqueFd probe = socket_at(address("127.0.0.1"));
  set(probe.get(), SOL_SOCKET, SO_TIMESTAMPNS, 1);
  const UniqueFd sender = unbound(AF_INET);
  for (int i = 0; i < 200; ++i) {
    send_to(sender.get(), local_of(probe.get()), "probe");
    timespec arrived{};
    ::clock_gettime(CLOCK_REALTIME, &arrived);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    // One that has none is given the time at which it is read.
    alignas(cmsghdr) char control[64];
    msghdr message{};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    check(::recvmsg(probe.get(), &message, 0) >= 0, "the probe's recvmsg");
    timespec stamp{};
    check(CMSG_FIRSTHDR(&message) != nullptr, "a time stamp");
    std::memcpy(&stamp, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof stamp);
    if (std::tie(stamp.tv_sec, stamp.tv_nsec) <= std::tie(arrived.tv_sec, arrived.tv_nsec)) {
      return probe;
    }
  }
  throw std::runtime_error("datagrams get no time stamp within 1 s");
}

int as_nobody(int (*body)()) {
  const pid_t child = ::fork();
  check(child >= 0, "fork");
  if (child == 0) {
    int status = 99;
    if (::setgroups(0, nullptr) == 0 && ::setgid(65534) == 0 && ::setuid(65534) == 0) {
      try {
        status = body();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "as nobody: %s\n", error.what());
        status = 98;
      }
    }
    ::_exit(status);
  }
  int status = 0;
  check(::waitpid(child, &status, 0) == child, "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::uint16_t free_port() {
  const UniqueFd fd = socket_at(address("0.0.0.0"));
  return local_of(fd.get()).port;
}

}  // namespace udpcr::test
