// SPDX-License-Identifier: LGPL-2.1-or-later
#include "network.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

#include "ancillary.hpp"
#include "trial.hpp"

namespace fidelity {
namespace {

constexpr int kSoMeminfo = 55;
constexpr int kPatienceMs = 5000;

}  // namespace

std::uint16_t Endpoint::port() const {
  return name.ss_family == AF_INET6 ? ntohs(reinterpret_cast<const sockaddr_in6&>(name).sin6_port)
                                    : ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port);
}

Endpoint at(const std::string& address, unsigned port) {
  Endpoint endpoint;
  const std::size_t percent = address.find('%');
  const std::string bare = address.substr(0, percent);
  if (bare.find(':') == std::string::npos) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(endpoint.name);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<std::uint16_t>(port));
    if (::inet_pton(AF_INET, bare.c_str(), &v4.sin_addr) != 1) throw Broken("address " + address);
    endpoint.size = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(endpoint.name);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(static_cast<std::uint16_t>(port));
    if (::inet_pton(AF_INET6, bare.c_str(), &v6.sin6_addr) != 1) throw Broken("address " + address);
    if (percent != std::string::npos) {
      v6.sin6_scope_id = interface_index(address.substr(percent + 1).c_str());
    }
    endpoint.size = sizeof v6;
  }
  return endpoint;
}

std::string host(const Endpoint& endpoint) {
  char out[INET6_ADDRSTRLEN] = "";
  if (endpoint.name.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(endpoint.name);
    return ::inet_ntop(AF_INET, &v4.sin_addr, out, sizeof out);
  }
  if (endpoint.name.ss_family != AF_INET6) return "none";
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(endpoint.name);
  ::inet_ntop(AF_INET6, &v6.sin6_addr, out, sizeof out);
  return v6.sin6_scope_id == 0 ? out : out + ("%" + interface_name(v6.sin6_scope_id));
}

std::string text(const Endpoint& endpoint) {
  if (endpoint.name.ss_family == AF_UNSPEC) return "none";
  return host(endpoint) + ":" + std::to_string(endpoint.port());
}

std::string interface_name(unsigned index) {
  char name[IF_NAMESIZE] = {};
  if (index == 0) return "none";
  return ::if_indextoname(index, name) != nullptr ? name : "gone";
}

unsigned interface_index(const char* name) {
  const unsigned index = ::if_nametoindex(name);
  if (index == 0) throw Broken(std::string("there is no interface ") + name);
  return index;
}

void bind_to(int fd, const Endpoint& where) {
  if (::bind(fd, where.get(), where.size) != 0) fail("bind to " + text(where), errno);
}

void connect_to(int fd, const Endpoint& where) {
  if (::connect(fd, where.get(), where.size) != 0) fail("connect to " + text(where), errno);
}

void disconnect(int fd) {
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  if (::connect(fd, &none, sizeof none) != 0) fail("disconnect", errno);
}

Endpoint local_of(int fd) {
  Endpoint out;
  if (::getsockname(fd, out.get(), &out.size) != 0) fail("getsockname", errno);
  return out;
}

Endpoint peer_of(int fd) {
  Endpoint out;
  if (::getpeername(fd, out.get(), &out.size) != 0) out.name.ss_family = AF_UNSPEC;
  return out;
}

void set(int fd, int level, int name, const void* value, socklen_t size, const char* text) {
  if (::setsockopt(fd, level, name, value, size) != 0) fail(text, errno);
}

std::string hex(const void* bytes, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < size; ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<const unsigned char*>(bytes)[i]);
    out += digits;
  }
  return out;
}

std::string get_hex(int fd, int level, int name) {
  unsigned char value[2048];
  socklen_t size = sizeof value;
  if (::getsockopt(fd, level, name, value, &size) != 0) return std::strerror(errno);
  return hex(value, size);
}

int get_number(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

std::string digest(const std::string& payload) {
  if (payload.size() <= 32) return payload.empty() ? "empty" : payload;
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : payload) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return std::to_string(payload.size()) + "#" + hex(&hash, sizeof hash);
}

std::string bytes_of(std::size_t length, char seed) {
  std::string out(length, seed);
  for (std::size_t i = 0; i < length; ++i) out[i] = static_cast<char>('a' + (i * 7 + seed) % 26);
  return out;
}

unsigned queue_memory(int fd) {
  unsigned values[16] = {};
  socklen_t size = sizeof values;
  if (::getsockopt(fd, SOL_SOCKET, kSoMeminfo, values, &size) != 0) fail("SO_MEMINFO", errno);
  return values[0];
}

void await_more(int fd, unsigned before) {
  for (int waited = 0; waited < kPatienceMs; ++waited) {
    if (queue_memory(fd) > before) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  throw Broken("a datagram does not arrive at " + text(local_of(fd)));
}

void send_from(const Endpoint& from, const Endpoint& to, const std::string& payload, int fd) {
  const int client = ::socket(from.name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (client < 0) fail("socket of a client", errno);
  const unsigned before = queue_memory(fd);
  const int large = 1 << 18;
  ::setsockopt(client, SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
  try {
    bind_to(client, from);
    if (::sendto(client, payload.data(), payload.size(), 0, to.get(), to.size) < 0) {
      fail("send to " + text(to), errno);
    }
  } catch (...) {
    ::close(client);
    throw;
  }
  ::close(client);
  await_more(fd, before);
}

void settle() {
  constexpr unsigned kFencePort = 9998;
  static const int fence = [] {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket of the fence", errno);
    bind_to(fd, at("127.0.0.1", kFencePort));
    return fd;
  }();
  const Endpoint self = at("127.0.0.1", kFencePort);
  char byte = 0;
  if (::sendto(fence, &byte, 1, 0, self.get(), self.size) != 1) fail("send to the fence", errno);
  pollfd events{fence, POLLIN, 0};
  if (::poll(&events, 1, kPatienceMs) != 1 || ::recv(fence, &byte, 1, 0) != 1) {
    throw Broken("the loopback interface does not deliver");
  }
}

std::optional<Got> receive(int fd, int flags, int wait_ms) {
  pollfd events{fd, POLLIN, 0};
  if ((flags & MSG_ERRQUEUE) != 0) events.events = 0;
  if (wait_ms > 0) ::poll(&events, 1, wait_ms);
  Got got;
  std::string payload(65536, '\0');
  iovec vector{payload.data(), payload.size()};
  alignas(cmsghdr) char control[4096];
  msghdr message{};
  message.msg_name = got.source.get();
  message.msg_namelen = got.source.size;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(fd, &message, flags | MSG_DONTWAIT);
  if (size < 0) {
    if (errno == EAGAIN) return std::nullopt;
    throw Broken(std::string("recvmsg: ") + std::strerror(errno));
  }
  payload.resize(static_cast<std::size_t>(size));
  got.payload = std::move(payload);
  got.source.size = message.msg_namelen;
  got.flags = message.msg_flags & ~MSG_CMSG_CLOEXEC;
  if (message.msg_namelen == 0) got.source.name.ss_family = AF_UNSPEC;
  for (const cmsghdr* cmsg = CMSG_FIRSTHDR(&message); cmsg != nullptr;
       cmsg = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(cmsg))) {
    read_ancillary(*cmsg, got);
  }
  return got;
}

std::vector<Got> receive_all(int fd) {
  std::vector<Got> all;
  while (auto got = receive(fd)) all.push_back(std::move(*got));
  return all;
}

}  // namespace fidelity
