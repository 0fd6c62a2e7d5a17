// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Without any capability.
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// Returns the line of the first thing that is not so.
#define EXPECT(condition)                       \
  do {                                          \
    if (!(condition)) return __LINE__ % 90 + 1; \
  } while (false)

int capture_and_restore() {
  const auto engine = engine_under_test();
  const UniqueFd sender = socket_at(address("127.0.0.1"));
  SocketState state;
  {
    const UniqueFd fd = socket_at(address("127.0.0.1"));
    for (const char* payload : {"a", "", "b"}) send_to(sender.get(), local_of(fd.get()), payload);
    state = engine->capture(fd.get(), {});
    EXPECT(payloads(read_all(fd.get())) == (std::vector<std::string>{"a", "", "b"}));
  }
  EXPECT(state.record.uid == 65534);
  const Restored restored = engine->restore(state, {});
  EXPECT(restored.datagrams == 3);
  EXPECT(local_of(restored.fd.get()) == state.record.local);
  const auto seen = read_all(restored.fd.get());
  EXPECT(payloads(seen) == (std::vector<std::string>{"a", "", "b"}));
  if (with_module()) {
    EXPECT(restored.losses.empty());
    for (const Seen& one : seen) EXPECT(one.source == local_of(sender.get()));
    return 0;
  }
  // The sender has its port still: its address could not be had.
  EXPECT(names(restored.losses, "source address"));
  EXPECT(list(restored.losses).find("3 datagrams") != std::string::npos);
  EXPECT(list(restored.losses).find("CAP_NET_RAW") != std::string::npos);
  return 0;
}

int foreign_ipv6_source() {
  const auto engine = engine_under_test();
  std::vector<Datagram> queue;
  for (int i = 0; i < 400; ++i) {
    queue.push_back(datagram(address("2001:db8:77::" + std::to_string(i % 300 + 1), 2000),
                             address("::1"), std::to_string(i)));
    queue.back().ttl = 33;
    queue.back().tos = 0x20;
  }
  const Restored restored = engine->restore(state_of(address("::", free_port()), queue), {});
  EXPECT(restored.datagrams == queue.size());
  EXPECT(!names(restored.losses, "source address"));
  ask_for_everything(restored.fd.get());
  const auto seen = read_all(restored.fd.get());
  EXPECT(seen.size() == queue.size());
  for (std::size_t i = 0; i < queue.size(); ++i) {
    EXPECT(seen[i].source == *queue[i].source);
    EXPECT(seen[i].payload == std::to_string(i));
    EXPECT(seen[i].ttl == 33);
    EXPECT(seen[i].tos == 0x20);
  }
  return 0;
}

int mixed_order() {
  const auto engine = engine_under_test();
  std::vector<Datagram> queue;
  for (int i = 0; i < 200; ++i) {
    queue.push_back(
        i % 2 != 0
            ? datagram(address("2001:db8:77::1", 2000), address("::1"), std::to_string(i))
            : datagram(address("203.0.113.1", 2000), address("10.9.0.1"), std::to_string(i)));
  }
  const Restored restored = engine->restore(state_of(address("::", free_port()), queue), {});
  const auto seen = read_all(restored.fd.get());
  EXPECT(seen.size() == queue.size());
  for (std::size_t i = 0; i < queue.size(); ++i) EXPECT(seen[i].payload == std::to_string(i));
  if (with_module()) {
    EXPECT(restored.losses.empty());
  } else {
    EXPECT(list(restored.losses).find("100 datagrams") != std::string::npos);
  }
  return 0;
}

int default_full_queue() {
  const auto engine = engine_under_test();
  const UniqueFd sender = unbound(AF_INET);
  SocketState state;
  {
    const UniqueFd fd = socket_at(address("127.0.0.1"));
    for (int i = 0; i < 2000; ++i) send_to(sender.get(), local_of(fd.get()), std::to_string(i));
    state = engine->capture(fd.get(), {});
  }
  EXPECT(state.record.drops != 0);
  const Restored restored = engine->restore(state, {});
  EXPECT(restored.datagrams == state.receive_queue.count());
  EXPECT(read_all(restored.fd.get()).size() == state.receive_queue.count());
  return 0;
}

int privileged_option_is_named() {
  SocketState state = state_of(address("127.0.0.1", free_port()), {});
  state.record.options.push_back({SOL_SOCKET, SO_MARK, Bytes{5, 0, 0, 0}});
  const Restored restored = engine_under_test()->restore(state, {});
  EXPECT(names(restored.losses, "SO_MARK"));
  EXPECT(list(restored.losses).find("CAP_NET_ADMIN") != std::string::npos);
  return 0;
}

int limits_name_the_missing_rights() {
  const auto limits = engine_under_test()->limits();
  if (with_module()) {
    EXPECT(list(limits).find("CAP_NET_ADMIN") != std::string::npos);
    return 0;
  }
  EXPECT(names(limits, "source address"));
  EXPECT(names(limits, "buffer size"));
  return 0;
}

}  // namespace

TEST_CASE("as nobody: capture and restore of an IPv4 socket") {
  CHECK(as_nobody(capture_and_restore) == 0);
}
TEST_CASE("as nobody: foreign IPv6 sources are kept") {
  CHECK(as_nobody(foreign_ipv6_source) == 0);
}
TEST_CASE("as nobody: the order of mixed datagrams is kept") { CHECK(as_nobody(mixed_order) == 0); }
TEST_CASE("as nobody: a full queue of the default size comes back whole") {
  CHECK(as_nobody(default_full_queue) == 0);
}
TEST_CASE("as nobody: an option that may not be set is named") {
  CHECK(as_nobody(privileged_option_is_named) == 0);
}
TEST_CASE("as nobody: limits tell which rights are missing") {
  CHECK(as_nobody(limits_name_the_missing_rights) == 0);
}
