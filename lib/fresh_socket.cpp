// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fresh_socket.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "errors.hpp"
#include "kernel_numbers.hpp"
#include "persist.hpp"
#include "rights.hpp"

namespace udpcr {

std::uint64_t read_cookie(int fd, int name) {
  std::uint64_t value = 0;
  socklen_t size = sizeof value;
  if (persist([&] { return ::getsockopt(fd, SOL_SOCKET, name, &value, &size); }) == 0) return value;
  if (name == kSoNetnsCookie && errno == ENOPROTOOPT) return 0;
  fail("read the cookie of fd " + std::to_string(fd), errno, "");
}

OptionValues read_by_getsockopt(int fd, int family, int protocol) {
  OptionValues values;
  for (const OptionRow& row : option_table()) {
    if (!applies(row, family, protocol)) continue;
    values.emplace_back(
        &row, row.read_by == ReadBy::module ? std::nullopt : read_option(fd, row.level, row.name));
  }
  return values;
}

const FreshSocket& FreshSockets::like(int family, int protocol) {
  const auto now = std::chrono::steady_clock::now();
  known_.remove_if(
      [&](const FreshSocket& fresh) { return now - fresh.read_at > std::chrono::seconds(1); });
  for (const FreshSocket& fresh : known_) {
    if (fresh.family == family && fresh.protocol == protocol) return fresh;
  }
  const UniqueFd fd(rights().socket(family, SOCK_DGRAM, protocol));
  if (!fd) {
    fail(std::string("create an ") + (family == AF_INET ? "IPv4" : "IPv6") +
             (protocol == IPPROTO_UDPLITE ? " UDP-Lite" : " UDP") + " socket",
         errno,
         errno == EMFILE || errno == ENFILE ? "raise the limit of open files (RLIMIT_NOFILE)"
                                            : "the kernel must support this protocol");
  }
  known_.push_back({family, protocol, now, read_cookie(fd.get(), kSoNetnsCookie),
                    read_(fd.get(), family, protocol)});
  return known_.back();
}

std::vector<SocketOption> changed_options(OptionValues now, const FreshSocket& fresh,
                                          bool connected) {
  std::vector<SocketOption> changed;
  for (std::size_t i = 0; i < now.size(); ++i) {
    auto& [row, value] = now[i];
    if (!value && row->read_by != ReadBy::module && fresh.values.at(i).second) {
      throw Error(std::string("cannot read ") + row->text +
                  " of the socket, which another one of its kind does tell");
    }
    if (!value || value == fresh.values.at(i).second) continue;
    // Of a connected socket the last datagram's (net/ipv4/udp.c, udp_queue_rcv_one_skb).
    if (connected && row->level == SOL_SOCKET && row->name == SO_INCOMING_CPU) continue;
    changed.push_back({row->level, row->name, std::move(*value)});
  }
  return changed;
}

}  // namespace udpcr
