// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Queues come back: order, sources, destinations, sizes.
#include <netinet/udp.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "kernel_numbers.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// The source as a program sees it on a socket of `family`.
std::string seen_source(const Address& source, int family) {
  if (family == AF_INET6 && source.family == AF_INET) {
    const std::string v4 = to_string(source);
    const std::size_t colon = v4.rfind(':');
    return to_string(address("::ffff:" + v4.substr(0, colon), source.port));
  }
  return to_string(source);
}

}  // namespace

TEST_CASE("datagrams come back in order with their sources, TOS and TTL") {
  const std::string where = GENERATE("0.0.0.0", "10.9.0.1", "::", "fd00:9::1");
  const auto engine = engine_under_test();
  const Address local = address(where, free_port());
  const bool v6 = local.family == AF_INET6;
  const bool v4 = !v6 || where == "::";
  std::vector<Datagram> queue;
  for (int i = 0; i < 60; ++i) {
    const bool six = v6 && (!v4 || i % 3 != 0);
    const std::string host = std::to_string(i % 7 + 1);
    Datagram one = six ? datagram(address("2001:db8:9::" + host, 1000), address("fd00:9::1"), "")
                       : datagram(address("198.51.100." + host, 53), address("10.9.0.1"), "");
    one.source->port = static_cast<std::uint16_t>(one.source->port + i);
    one.payload = bytes(i % 10 == 4 ? "" : "number " + std::to_string(i));
    one.tos = static_cast<std::uint8_t>(i % 8 * 4);
    one.ttl = static_cast<std::uint8_t>(40 + i);
    queue.push_back(one);
  }
  SocketState state = state_of(local, queue);
  const Restored restored = engine->restore(state, {});
  INFO(where << "\n" << list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(restored.datagrams == queue.size());
  CHECK(local_of(restored.fd.get()) == local);
  // Captured again it is the same queue, and reading it afterwards shows all.
  const auto again = decode_all(engine->capture(restored.fd.get(), {}).receive_queue);
  REQUIRE(again.size() == queue.size());
  for (std::size_t i = 0; i < queue.size(); ++i) CHECK(again[i].source == queue[i].source);

  ask_for_everything(restored.fd.get());
  const auto seen = read_all(restored.fd.get());
  REQUIRE(seen.size() == queue.size());
  for (std::size_t i = 0; i < queue.size(); ++i) {
    CHECK(seen[i].payload == text(queue[i].payload));
    CHECK(to_string(seen[i].source) == seen_source(*queue[i].source, local.family));
    CHECK(seen[i].tos == *queue[i].tos);
    CHECK(seen[i].ttl == *queue[i].ttl);
    CHECK(seen[i].destination == (queue[i].source->family == AF_INET ? "10.9.0.1" : "fd00:9::1"));
  }
}

TEST_CASE("a real queue goes round: capture, close, restore, read, reply") {
  const std::string ip = GENERATE("127.0.0.1", "::1");
  const auto engine = engine_under_test();
  const UniqueFd senders[3] = {socket_at(address(ip)), socket_at(address(ip)),
                               socket_at(address(ip))};
  SocketState state;
  Address server;
  {
    const UniqueFd fd = socket_at(address(ip));
    server = local_of(fd.get());
    for (int i = 0; i < 60; ++i) send_to(senders[i % 3].get(), server, std::to_string(i));
    state = engine->capture(fd.get(), {});
  }
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(local_of(restored.fd.get()) == server);
  const auto seen = read_all(restored.fd.get());
  REQUIRE(seen.size() == 60);
  for (int i = 0; i < 60; ++i) {
    CHECK(seen[static_cast<std::size_t>(i)].payload == std::to_string(i));
    send_to(restored.fd.get(), seen[static_cast<std::size_t>(i)].source, "re " + std::to_string(i));
  }
  for (int s = 0; s < 3; ++s) {
    const auto replies = read_some(senders[s].get(), 20);
    REQUIRE(replies.size() == 20);
    for (int i = 0; i < 20; ++i) {
      CHECK(replies[static_cast<std::size_t>(i)].payload == "re " + std::to_string(i * 3 + s));
      CHECK(replies[static_cast<std::size_t>(i)].source == server);
    }
  }
}

TEST_CASE("datagrams of every size") {
  const bool v6 = GENERATE(false, true);
  const auto engine = engine_under_test();
  const Address local = address(v6 ? "::" : "0.0.0.0", free_port());
  const Address source = address(v6 ? "2001:db8:5::5" : "203.0.113.5", 5);
  std::vector<Datagram> queue;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{1472}, std::size_t{65479}, std::size_t{65488},
        std::size_t{65507}, std::size_t{0}, v6 ? std::size_t{65527} : std::size_t{65507},
        std::size_t{3}}) {
    std::string payload(size, '\0');
    for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<char>(i * 7 + size);
    queue.push_back(datagram(source, address(v6 ? "::1" : "127.0.0.1"), payload));
  }
  const Restored restored = engine->restore(state_of(local, queue), {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  const auto captured = decode_all(engine->capture(restored.fd.get(), {}).receive_queue);
  const auto seen = read_all(restored.fd.get());
  REQUIRE(captured.size() == queue.size());
  REQUIRE(seen.size() == queue.size());
  for (std::size_t i = 0; i < queue.size(); ++i) {
    CHECK(captured[i].payload == queue[i].payload);
    CHECK(bytes(seen[i].payload) == queue[i].payload);
    CHECK(seen[i].source == source);
  }
}

TEST_CASE("destinations come back: multi-homed, multicast, broadcast, no longer local") {
  const auto engine = engine_under_test();
  const Address local = address("0.0.0.0", free_port());
  const Address source = address("198.51.100.1", 99);
  std::vector<Datagram> queue;
  const char* const destinations[] = {"127.0.0.1",    "10.9.0.1",        "192.0.2.7",
                                      "224.0.0.251",  "255.255.255.255", "10.9.0.255",
                                      "203.0.113.200"};
  for (const char* to : destinations) queue.push_back(datagram(source, address(to), to));
  const Restored restored = engine->restore(state_of(local, queue), {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  ask_for_everything(restored.fd.get());
  const auto seen = read_all(restored.fd.get());
  REQUIRE(seen.size() == queue.size());
  for (const Seen& one : seen) {
    CHECK(one.destination == one.payload);
    CHECK(one.source == source);
    CHECK(one.ttl == 64);
  }
}

TEST_CASE("IPv6 multicast with a link-local source keeps scope; what is not local is named") {
  const auto engine = engine_under_test();
  SocketState state = state_of(address("::", free_port()), {});
  Datagram mdns = datagram(address("fe80::99", 5353), address("ff02::fb"), "mdns");
  mdns.ifindex = 3;
  mdns.source->scope = 3;
  std::vector<Datagram> queue = {
      mdns, datagram(address("2001:db8::9", 7), address("2001:db8::fff"), "gone")};
  for (const Datagram& one : queue) state.receive_queue.append(encode_datagram(one));
  int one = 1;
  Bytes on(sizeof one);
  std::memcpy(on.data(), &one, sizeof one);
  state.record.options.push_back({SOL_IPV6, IPV6_RECVPKTINFO, on});
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(names(restored.losses, "destination address") != with_module());
  ask_for_everything(restored.fd.get());
  const auto seen = read_all(restored.fd.get());
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].source == *mdns.source);
  CHECK(seen[0].destination == "ff02::fb");
  CHECK(seen[0].ifindex == 3);
  CHECK(seen[1].source == *queue[1].source);
  if (with_module()) CHECK(seen[1].destination == "2001:db8::fff");
}

TEST_CASE("a full queue comes back whole and the buffer size is exact") {
  const auto engine = engine_under_test();
  const UniqueFd sender = unbound(AF_INET);
  SocketState state;
  int size = 0;
  {
    const UniqueFd fd = socket_at(address("127.0.0.1"));
    set(fd.get(), SOL_SOCKET, SO_RCVBUF, 60000);
    size = get(fd.get(), SOL_SOCKET, SO_RCVBUF);
    for (int i = 0; i < 1000; ++i) send_to(sender.get(), local_of(fd.get()), std::to_string(i));
    state = engine->capture(fd.get(), {});
    REQUIRE(state.record.drops != 0);
  }
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(get(restored.fd.get(), SOL_SOCKET, SO_RCVBUF) == size);
  const auto seen = read_all(restored.fd.get());
  REQUIRE(seen.size() == state.receive_queue.count());
  for (std::size_t i = 0; i < seen.size(); ++i) CHECK(seen[i].payload == std::to_string(i));
  send_to(sender.get(), local_of(restored.fd.get()), "goes on");
  CHECK(payloads(read_some(restored.fd.get(), 1)) == std::vector<std::string>{"goes on"});
}

TEST_CASE("what UDP_GRO put together comes back as one datagram") {
  const auto engine = engine_under_test();
  const bool v4 = GENERATE(true, false);
  const bool mark_seen = GENERATE(false, true);
  Datagram together = datagram(address(v4 ? "198.51.100.9" : "2001:db8:5::9", 9),
                               address(v4 ? "10.9.0.1" : "fd00:9::1"), std::string(2500, 'g'));
  together.gso_size = 1000;
  together.tos = 0x2e;
  together.ttl = 17;
  together.mark = 5;
  const bool labelled = !v4 && GENERATE(false, true);
  if (labelled) together.flow_label = 0xabcde;
  const Datagram alone = datagram(*together.source, *together.destination, "alone");
  SocketState state =
      state_of(address(v4 ? "0.0.0.0" : "::", free_port()), {alone, together, together, alone});
  state.record.options.push_back({SOL_UDP, UDP_GRO, Bytes{1, 0, 0, 0}});
  if (mark_seen) state.record.options.push_back({SOL_SOCKET, kSoRcvmark, Bytes{1, 0, 0, 0}});
  if (labelled) state.record.options.push_back({SOL_IPV6, kIpv6Flowinfo, Bytes{1, 0, 0, 0}});
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  const auto after = decode_all(engine->capture(restored.fd.get(), {}).receive_queue);
  REQUIRE(after.size() == 4);
  CHECK(text(after[0].payload) == "alone");
  CHECK(text(after[3].payload) == "alone");
  for (std::size_t i = 1; i < 3; ++i) {
    CHECK(after[i].payload == together.payload);
    CHECK(after[i].source == together.source);
    CHECK(after[i].gso_size == together.gso_size);
    CHECK(after[i].tos == together.tos);
    CHECK(after[i].ttl == together.ttl);
    CHECK(after[i].mark == together.mark);
    if (labelled) CHECK(after[i].flow_label == together.flow_label);
  }
}

TEST_CASE("segments from a port that is taken come back, together or in order and named") {
  const auto engine = engine_under_test();
  // Its port is taken.
  const UniqueFd sender = socket_at(address("10.9.0.1"));
  Datagram together = datagram(local_of(sender.get()), address("10.9.0.1"), std::string(2500, 'g'));
  together.gso_size = 1000;
  SocketState state = state_of(address("0.0.0.0", free_port()), {together});
  state.record.options.push_back({SOL_UDP, UDP_GRO, Bytes{1, 0, 0, 0}});
  const Restored restored = engine->restore(state, {});
  CHECK(names(restored.losses, "segment size") != with_module());
  const auto seen = read_all(restored.fd.get());
  REQUIRE(seen.size() == (with_module() ? 1 : 3));
  CHECK(seen.front().payload.size() == (with_module() ? 2500 : 1000));
  CHECK(seen.back().payload.size() == (with_module() ? 2500 : 500));
  CHECK(seen.front().source == together.source);
}

TEST_CASE("a datagram whose source is 0.0.0.0 arrives, with its source or named") {
  const auto engine = engine_under_test();
  const Restored restored = engine->restore(
      state_of(address("0.0.0.0", free_port()),
               {datagram(address("0.0.0.0", 68), address("255.255.255.255"), "discover")}),
      {});
  CHECK(names(restored.losses, "source address") != with_module());
  const auto seen = read_all(restored.fd.get());
  CHECK(payloads(seen) == std::vector<std::string>{"discover"});
  if (with_module()) CHECK(seen.at(0).source == address("0.0.0.0", 68));
}
