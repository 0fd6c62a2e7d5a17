// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What only the module's engine does, and how it compares with the other one.
// These need the module: TEST_ENGINE=module.
#include "options.hpp"

#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <udpcr/udpcr_netlink.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <ctime>

#include "kernel_numbers.hpp"
#include "module_client.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// Hidden unless asked for, as in "[module]".
#define MODULE_TEST(name) TEST_CASE(name, "[.][module]")

std::uint64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

Restored around(UniqueFd fd, SocketState* captured = nullptr) {
  const auto engine = make_engine(UseEngine::module);
  SocketState state = engine->capture(fd.get(), {});
  fd.reset();
  Restored restored = engine->restore(state, {});
  if (captured != nullptr) *captured = std::move(state);
  return restored;
}

}  // namespace

MODULE_TEST("both engines tell the same of a socket") {
  const bool v6 = GENERATE(false, true);
  const int kind = GENERATE(0, 1, 2, 3);
  const std::string ip = v6 ? "::1" : "127.0.0.1";
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  UniqueFd stamped;
  if (kind == 2) {
    stamped = timestamps();
    set(fd.get(), SOL_SOCKET, SO_RCVBUF, 99999);
    set(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, 1);
    set(fd.get(), SOL_IP, IP_TOS, 0x28);
    set(fd.get(), SOL_UDP, UDP_GRO, 1);
    REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
  }
  if (kind != 0) bind_to(fd.get(), address(ip));
  if (kind == 3) connect_to(fd.get(), address(ip, 9));
  if (kind != 0) {
    const UniqueFd sender = socket_at(address(ip));
    if (kind != 3) send_to(sender.get(), local_of(fd.get()), "x");
  }
  // What bind(2) was told: the userspace engine is told by the shim.
  std::uint32_t origin = UDPCR_SOCK_ORIGIN_KNOWN;
  if (kind != 0) origin |= UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_ADDR;
  SocketState one = make_engine(UseEngine::module)->capture(fd.get(), {Queues::both, origin});
  SocketState other = make_engine(UseEngine::userspace)->capture(fd.get(), {Queues::both, origin});
  // Those by which datagrams came: of IPv4 ones without IP_PKTINFO only the
  // module tells.
  one.record.interfaces.clear();
  other.record.interfaces.clear();
  // Without the module only that of a bound socket is told.
  if (kind == 0) one.record.cgroup = 0;
  INFO("kind " << kind << "\n" << list(one.losses) << "--\n" << list(other.losses));
  const auto described = [](const SocketRecord& record) {
    std::string text = "flags " + std::to_string(record.flags) + ", rmem " +
                       std::to_string(record.rmem) + ", cgroup " + std::to_string(record.cgroup) +
                       ", shutdown " + std::to_string(record.shutdown) + ", options";
    for (const SocketOption& option : record.options) {
      text += std::string(" ") + option_name(option.level, option.name);
    }
    return text;
  };
  INFO(described(one.record) << "\n" << described(other.record));
  CHECK(one.record == other.record);
  CHECK(one.losses == other.losses);
  const auto queue = decode_all(one.receive_queue);
  const auto seen = decode_all(other.receive_queue);
  REQUIRE(queue.size() == seen.size());
  for (std::size_t i = 0; i < queue.size(); ++i) {
    CHECK(queue[i].source == seen[i].source);
    CHECK(queue[i].destination == seen[i].destination);
    CHECK(queue[i].tos == seen[i].tos);
    CHECK(queue[i].ttl == seen[i].ttl);
    CHECK(queue[i].payload == seen[i].payload);
    if (seen[i].ifindex) CHECK(queue[i].ifindex == seen[i].ifindex);
  }
}

MODULE_TEST("the module reads the options that the table says it reads") {
  const bool v6 = GENERATE(false, true);
  ModuleClient client;
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  std::vector<std::uint16_t> unknown;
  const auto told = [&] { return decode_record(client.record(SocketName::of(fd.get())), unknown); };
  const auto find = [](const SocketRecord& record, const OptionRow& row) -> const SocketOption* {
    for (const SocketOption& option : record.options) {
      if (option.level == row.level && option.name == row.name) return &option;
    }
    return nullptr;
  };
  const SocketRecord record = told();
  for (const OptionRow& row : option_table()) {
    if (!applies(row, record.family, record.protocol)) continue;
    INFO(row.text);
    const auto value = read_option(fd.get(), row.level, row.name);
    const SocketOption* const option = find(record, row);
    if (row.read_by == ReadBy::both && value) {
      REQUIRE(option != nullptr);
      CHECK(same_value(row, option->value, *value));
    } else if (row.read_by == ReadBy::getsockopt) {
      CHECK(option == nullptr);
    }
  }
  CHECK(unknown.empty());
}

MODULE_TEST("what getsockopt cannot read goes round") {
  UniqueFd fd = unbound(AF_INET6);
  ip_mreqn interface {};
  interface.imr_ifindex = 1;
  REQUIRE(::setsockopt(fd.get(), SOL_IP, IP_MULTICAST_IF, &interface, sizeof interface) == 0);
  set(fd.get(), SOL_IPV6, IPV6_MTU, 1400);
  in6_pktinfo sticky{};
  sticky.ipi6_addr = in6addr_loopback;
  sticky.ipi6_ifindex = 1;
  REQUIRE(::setsockopt(fd.get(), SOL_IPV6, IPV6_PKTINFO, &sticky, sizeof sticky) == 0);
  set(fd.get(), SOL_SOCKET, kSoBusyPollBudget, 16);
  const auto engine = make_engine(UseEngine::module);
  const SocketState state = engine->capture(fd.get(), {});
  CHECK(state.record.options.size() == 4);
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(engine->capture(restored.fd.get(), {}).record.options == state.record.options);
  // The other engine sets them as well, and cannot see whether.
  const Restored again = make_engine(UseEngine::userspace)->restore(state, {});
  INFO(list(again.losses));
  CHECK(again.losses.empty());
  CHECK(engine->capture(again.fd.get(), {}).record.options == state.record.options);
}

MODULE_TEST("time, interface, mark and original destination come back") {
  const std::uint16_t port = free_port();
  Datagram one = datagram(address("198.51.100.1", 5), address("10.9.0.1", port), "one");
  one.timestamp = now() - 3'000'000'000;
  one.ifindex = 1;
  one.mark = 77;
  one.tos = 0xb8;
  SocketState state = state_of(address("0.0.0.0", port), {one});
  state.record.options.push_back({SOL_SOCKET, SO_TIMESTAMPNS, Bytes{1, 0, 0, 0}});
  state.record.options.push_back({SOL_IP, IP_RECVORIGDSTADDR, Bytes{1, 0, 0, 0}});
  const auto engine = make_engine(UseEngine::module);
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  REQUIRE(restored.datagrams == 1);
  const auto queue = decode_all(engine->capture(restored.fd.get(), {}).receive_queue);
  REQUIRE(queue.size() == 1);
  CHECK(queue[0].timestamp == one.timestamp);
  CHECK(queue[0].ifindex == one.ifindex);
  CHECK(queue[0].mark == one.mark);
  CHECK(queue[0].destination == one.destination);
}

MODULE_TEST("drop counter and pending error come back") {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUF, 2304);
  const UniqueFd sender = unbound(AF_INET);
  for (int i = 0; i < 50; ++i) send_to(sender.get(), local_of(fd.get()), std::string(1000, 'd'));
  const Address nobody = address("127.0.0.1", free_port());
  connect_to(fd.get(), nobody);
  send_to(fd.get(), nobody, "x");
  SocketState state;
  const Restored restored = around(std::move(fd), &state);
  INFO(list(restored.losses));
  CHECK(state.losses.empty());
  CHECK(restored.losses.empty());
  CHECK(state.record.drops > 40);
  CHECK(state.record.error == ECONNREFUSED);
  const auto now_there = make_engine(UseEngine::module)->capture(restored.fd.get(), {}).record;
  CHECK(now_there.drops == state.record.drops);
  CHECK(get(restored.fd.get(), SOL_SOCKET, SO_ERROR) == ECONNREFUSED);

  // The other engine cannot, and says so.
  state.record.local.port = free_port();
  const Restored less = make_engine(UseEngine::userspace)->restore(state, {});
  CHECK(names(less.losses, "drop counter"));
  CHECK(names(less.losses, "pending error"));
}

MODULE_TEST("what the module refuses is named with its number, the rest comes back") {
  Datagram good = datagram(address("198.51.100.1", 5), address("10.9.0.1"), "good");
  Datagram bad = good;
  bad.source = address("2001:db8::1", 5);  // on an IPv4 socket
  const Restored restored =
      make_engine(UseEngine::module)
          ->restore(state_of(address("0.0.0.0", free_port()), {good, bad, good, bad, bad, good}),
                    {});
  const std::string text = list(restored.losses);
  INFO(text);
  CHECK(restored.datagrams == 3);
  CHECK(payloads(read_all(restored.fd.get())) == std::vector<std::string>{"good", "good", "good"});
  CHECK(text.find("receive queue: 3 of 6 datagrams could not be put back") != std::string::npos);
}

MODULE_TEST("take_rest empties the queue and gives what stands behind the first ones") {
  const auto engine = make_engine(UseEngine::module);
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  for (const char* payload : {"a", "", "c"}) send_to(sender.get(), local_of(fd.get()), payload);
  const MessageStream rest = engine->take_rest(fd.get(), 1, QueueEnd::stays_open);
  CHECK(rest.count() == 2);
  send_to(sender.get(), local_of(fd.get()), "later");
  CHECK(payloads(read_all(fd.get())) == std::vector<std::string>{"later"});
  CHECK(engine->capture(fd.get(), {}).record.rmem != 0);
  engine->settle_rest(true);
  CHECK(engine->capture(fd.get(), {}).record.rmem == 0);
}

MODULE_TEST("what take_rest has taken and nobody has stored goes back in front") {
  const bool told = GENERATE(false, true);
  auto engine = make_engine(UseEngine::module);
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  for (const char* payload : {"a", "", "c"}) send_to(sender.get(), local_of(fd.get()), payload);
  engine->take_rest(fd.get(), 1, QueueEnd::stays_open);
  send_to(sender.get(), local_of(fd.get()), "later");
  if (told) engine->settle_rest(false);
  if (!told) engine.reset();
  CHECK(payloads(read_all(fd.get())) == std::vector<std::string>{"a", "", "c", "later"});
}

MODULE_TEST("a client that is forked has lists of its own") {
  static ModuleClient client;
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  send_to(unbound(AF_INET).get(), local_of(fd.get()), "x");
  REQUIRE(client.take(SocketName::of(fd.get()), 7).count == 1);
  CHECK(as_nobody([] {
          try {
            client.read_list(7);
          } catch (const Error& error) {
            return error.error_number() == ENOENT ? 0 : 1;
          }
          return 2;
        }) == 0);
  CHECK(client.read_list(7).count() == 1);
  client.put(7, UDPCR_POSITION_FRONT);
  CHECK(payloads(read_all(fd.get())) == std::vector<std::string>{"x"});
}

MODULE_TEST("another user's socket: refused, or left to the userspace engine") {
  static int theirs = -1;
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  send_to(unbound(AF_INET).get(), local_of(fd.get()), "x");
  theirs = fd.get();
  CHECK(as_nobody([] {
          try {
            make_engine(UseEngine::module)->capture(theirs, {});
            return 1;
          } catch (const Error& error) {
            if (error.error_number() != EPERM) return 2;
          }
          const SocketState state = make_engine(UseEngine::automatic)->capture(theirs, {});
          return state.receive_queue.count() == 1 && names(state.losses, "kernel module") ? 0 : 3;
        }) == 0);
}

MODULE_TEST("the namespace's sockets are listed and opened by inode") {
  ModuleClient client;
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  send_to(unbound(AF_INET).get(), local_of(fd.get()), "x");
  struct stat status {};
  REQUIRE(::fstat(fd.get(), &status) == 0);
  std::vector<std::uint16_t> unknown;
  std::size_t found = 0;
  for (const Bytes& message : client.records()) {
    const SocketRecord record = decode_record(message, unknown);
    found += record.inode == status.st_ino && record.queue_count == 1 ? 1 : 0;
  }
  CHECK(found == 1);
  const UniqueFd again = client.open_socket({status.st_ino, {}, {}});
  CHECK(payloads(read_all(again.get())) == std::vector<std::string>{"x"});
  CHECK_THROWS_WITH(client.open_socket({1, {}, {}}), Catch::Matchers::Contains("open socket 1: "));
}
