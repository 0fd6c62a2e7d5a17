// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The receive queue as the module tells it, beside what recvmsg then gives.
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <time.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <thread>

#include "kernel_numbers.hpp"
#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

std::string pattern(std::size_t size, std::size_t seed) {
  std::string payload(size, '\0');
  for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<char>(i * 7 + i / 251 + seed);
  return payload;
}

std::string payload_of(const Attrs& datagram) { return text(datagram.bytes(UDPCR_A_PAYLOAD)); }
Address source_of(const Attrs& datagram) {
  return datagram.address(UDPCR_A_SRC_ADDR, UDPCR_A_SRC_PORT, UDPCR_A_SRC_SCOPE);
}
Address destination_of(const Attrs& datagram) {
  return datagram.address(UDPCR_A_DST_ADDR, UDPCR_A_DST_PORT);
}

std::uint64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1000000000U +
         static_cast<std::uint64_t>(time.tv_nsec);
}

UniqueFd far_socket(const std::string& ip) {
  const In there(Net::far);
  return socket_at(address(ip));
}

}  // namespace

TEST_CASE("queue: an empty one has no datagrams", "[smoke]") {
  const UniqueFd fd = GENERATE(true, false) ? socket_at(address("127.0.0.1")) : unbound(AF_INET6);
  Talk talk;
  for (std::uint32_t which = 0; which <= UDPCR_QUEUE_MAX; ++which) {
    CHECK(talk.queue(fd.get(), which).empty());
  }
}

TEST_CASE("queue: datagrams of every size, in order; nothing is consumed", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd fd = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  const UniqueFd sender = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20);
  set(sender.get(), SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20);
  std::vector<std::string> sent;
  std::size_t seed = 0;
  for (const std::size_t size : {0, 1, 0, 1472, 9000, 65507, 2, 0, 65507})
    sent.push_back(pattern(size, ++seed));
  if (v6) sent.push_back(pattern(UDPCR_MAX_PAYLOAD, ++seed));
  for (const std::string& payload : sent) send_to(sender.get(), local_of(fd.get()), payload);
  await_count(fd.get(), static_cast<std::uint32_t>(sent.size()));
  Talk talk;
  for (int round = 0; round < 2; ++round) {
    const auto queue = talk.queue(fd.get());
    REQUIRE(queue.size() == sent.size());
    for (std::size_t i = 0; i < sent.size(); ++i) {
      CHECK(queue[i].command == UDPCR_CMD_DATAGRAM);
      CHECK((payload_of(queue[i]) == sent[i]));
      CHECK(source_of(queue[i]) == local_of(sender.get()));
      CHECK(destination_of(queue[i]) == local_of(fd.get()));
    }
  }
  // The default queue is the receive queue.
  CHECK(talk.must_dump(Request(UDPCR_CMD_QUEUE).socket(fd.get())).size() == sent.size());
  CHECK((texts(receive_all(fd.get())) == sent));
}

TEST_CASE("queue: also of what a reader has moved into its own list") {
  // A reader of an empty list takes all that is there over (net/ipv4/udp.c,
  // __skb_recv_udp), so that the queue stands in two lists.
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  for (int i = 0; i < 10; ++i) send_to(sender.get(), local_of(fd.get()), std::to_string(i));
  Received first;
  REQUIRE(receive(fd.get(), first));
  for (int i = 10; i < 20; ++i) send_to(sender.get(), local_of(fd.get()), std::to_string(i));
  const auto queue = Talk().queue(fd.get());
  REQUIRE(queue.size() == 19);
  for (std::size_t i = 0; i < 19; ++i) CHECK(payload_of(queue[i]) == std::to_string(i + 1));
}

TEST_CASE("queue: from another machine, with TTL, TOS, interface and time of arrival", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd fd = socket_at(address(v6 ? "fd00:9::1" : "10.9.0.1"));
  ask_for_all(fd.get());
  const UniqueFd sender = far_socket(v6 ? "fd00:9::2" : "10.9.0.2");
  const std::uint64_t before = now();
  for (int i = 0; i < 20; ++i) {
    send_with(sender.get(), local_of(fd.get()), std::to_string(i), {.ttl = 30 + i, .tos = i * 4});
  }
  await_count(fd.get(), 20);
  const std::uint64_t after = now();
  const auto queue = Talk().queue(fd.get());
  const auto seen = receive_all(fd.get());
  REQUIRE(queue.size() == 20);
  REQUIRE(seen.size() == 20);
  for (std::size_t i = 0; i < 20; ++i) {
    const Message& one = queue[i];
    CHECK(payload_of(one) == std::to_string(i));
    CHECK(source_of(one) == local_of(sender.get()));
    CHECK(destination_of(one) == local_of(fd.get()));
    CHECK(one.u8(UDPCR_A_TTL) == 30 + i);
    CHECK(one.u8(UDPCR_A_TOS) == i * 4);
    CHECK(one.u32(UDPCR_A_IFINDEX) == index_of("left"));
    CHECK(one.u64(UDPCR_A_TSTAMP) >= before);
    CHECK(one.u64(UDPCR_A_TSTAMP) <= after);
    timespec stamp{};
    std::memcpy(&stamp, seen[i].ancillary.at("SO_TIMESTAMPNS").data(), sizeof stamp);
    CHECK(one.u64(UDPCR_A_TSTAMP) == static_cast<std::uint64_t>(stamp.tv_sec) * 1000000000U +
                                         static_cast<std::uint64_t>(stamp.tv_nsec));
    if (!v6) {
      in_pktinfo info{};
      std::memcpy(&info, seen[i].ancillary.at("IP_PKTINFO").data(), sizeof info);
      const Bytes spec = one.bytes(UDPCR_A_SPEC_DST);
      REQUIRE(spec.size() == 4);
      CHECK(std::memcmp(spec.data(), &info.ipi_spec_dst, 4) == 0);
    }
  }
}

TEST_CASE("queue: the mark, and none where there is none") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  send_to(sender.get(), local_of(fd.get()), "plain");
  // Over loopback the mark of the sending socket stays with the packet.
  set(sender.get(), SOL_SOCKET, SO_MARK, 0xabcdef);
  send_to(sender.get(), local_of(fd.get()), "marked");
  const auto queue = Talk().queue(fd.get());
  REQUIRE(queue.size() == 2);
  CHECK_FALSE(queue[0].has(UDPCR_A_MARK));
  CHECK(queue[1].u32(UDPCR_A_MARK) == 0xabcdef);
}

TEST_CASE("queue: several addresses, multicast and broadcast destinations") {
  const UniqueFd fd = socket_at(address("0.0.0.0"));
  set(fd.get(), SOL_IP, IP_PKTINFO, 1);
  ip_mreqn group{};
  ::memcpy(&group.imr_multiaddr, address("239.9.9.9").bytes, 4);
  group.imr_ifindex = static_cast<int>(index_of("left"));
  REQUIRE(::setsockopt(fd.get(), SOL_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0);
  const UniqueFd sender = far_socket("10.9.0.2");
  set(sender.get(), SOL_SOCKET, SO_BROADCAST, 1);
  {
    const In there(Net::far);
    group.imr_ifindex = static_cast<int>(index_of("right"));
  }
  REQUIRE(::setsockopt(sender.get(), SOL_IP, IP_MULTICAST_IF, &group, sizeof group) == 0);
  std::uint32_t count = 0;
  for (const char* to : {"10.9.0.1", "239.9.9.9", "10.9.0.255"}) {
    send_to(sender.get(), address(to, local_of(fd.get()).port), to);
    await_count(fd.get(), ++count);
  }
  const auto queue = Talk().queue(fd.get());
  const auto seen = receive_all(fd.get());
  REQUIRE(queue.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(destination_of(queue[i]) == address(payload_of(queue[i]), local_of(fd.get()).port));
    in_pktinfo info{};
    std::memcpy(&info, seen[i].ancillary.at("IP_PKTINFO").data(), sizeof info);
    CHECK(std::memcmp(queue[i].bytes(UDPCR_A_SPEC_DST).data(), &info.ipi_spec_dst, 4) == 0);
  }
}

TEST_CASE("queue: IPv4 datagrams on an IPv6 socket have IPv4 addresses", "[smoke]") {
  const UniqueFd fd = socket_at(address("::"));
  const std::uint16_t port = local_of(fd.get()).port;
  const UniqueFd four = far_socket("10.9.0.2");
  const UniqueFd six = far_socket("fd00:9::2");
  send_to(four.get(), address("10.9.0.1", port), "four");
  await_count(fd.get(), 1);
  send_to(six.get(), address("fd00:9::1", port), "six");
  await_count(fd.get(), 2);
  const auto queue = Talk().queue(fd.get());
  CHECK(source_of(queue[0]) == local_of(four.get()));
  CHECK(destination_of(queue[0]) == address("10.9.0.1", port));
  CHECK(source_of(queue[1]) == local_of(six.get()));
  CHECK(destination_of(queue[1]) == address("fd00:9::1", port));
}

TEST_CASE("queue: a link-local source has its scope") {
  const UniqueFd fd = socket_at(address("::"));
  UniqueFd sender;
  unsigned right = 0;
  {
    const In there(Net::far);
    sender = unbound(AF_INET6);
    right = index_of("right");
  }
  set(sender.get(), SOL_IPV6, IPV6_MULTICAST_IF, static_cast<int>(right));
  ipv6_mreq group{};
  std::memcpy(&group.ipv6mr_multiaddr, address("ff02::77").bytes, 16);
  group.ipv6mr_interface = index_of("left");
  REQUIRE(::setsockopt(fd.get(), SOL_IPV6, IPV6_JOIN_GROUP, &group, sizeof group) == 0);
  // ff02::77 has no more of a route than its interface: the source is link-local.
  Address to = address("ff02::77", local_of(fd.get()).port);
  to.scope = right;
  send_to(sender.get(), to, "mdns");
  await_count(fd.get(), 1);
  const auto queue = Talk().queue(fd.get());
  const auto seen = receive_all(fd.get());
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].source.scope == index_of("left"));
  CHECK(queue[0].u32(UDPCR_A_SRC_SCOPE) == index_of("left"));
  CHECK(source_of(queue[0]) == seen[0].source);
}

TEST_CASE("queue: what UDP_GRO put together is one datagram with its segment size", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd fd = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  set(fd.get(), SOL_UDP, kUdpGro, 1);
  const UniqueFd sender = unbound(v6 ? AF_INET6 : AF_INET);
  const std::string payload = pattern(3500, 3);
  send_with(sender.get(), local_of(fd.get()), payload, {.segment = 1000});
  await_count(fd.get(), 1);
  const auto queue = Talk().queue(fd.get());
  REQUIRE(queue.size() == 1);
  CHECK((payload_of(queue[0]) == payload));
  CHECK(queue[0].u16(UDPCR_A_GSO_SIZE) == 1000);
  const auto seen = receive_all(fd.get());
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].number("UDP_GRO") == 1000);
}

TEST_CASE("queue: a datagram with a wrong checksum is left out, and nobody reads it") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  send_to(sender.get(), local_of(fd.get()), "before");
  const UniqueFd raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  REQUIRE(raw);
  // More than 76 bytes: shorter ones are checked before they are queued
  // (include/linux/skbuff.h, CHECKSUM_BREAK).
  struct {
    iphdr ip;
    udphdr udp;
    char payload[500];
  } packet{};
  packet.ip.version = 4;
  packet.ip.ihl = 5;
  packet.ip.ttl = 64;
  packet.ip.protocol = IPPROTO_UDP;
  packet.ip.tot_len = htons(sizeof packet);
  packet.ip.saddr = packet.ip.daddr = htonl(INADDR_LOOPBACK);
  packet.udp.source = htons(9);
  packet.udp.dest = htons(local_of(fd.get()).port);
  packet.udp.len = htons(sizeof packet - sizeof packet.ip);
  packet.udp.check = htons(0x1234);
  socklen_t size = 0;
  const sockaddr_storage to = local_of(fd.get()).to_sockaddr(size);
  const std::uint32_t charge = charged(fd.get());
  REQUIRE(::sendto(raw.get(), &packet, sizeof packet, 0, reinterpret_cast<const sockaddr*>(&to),
                   size) == sizeof packet);
  REQUIRE(charged(fd.get()) > charge);  // it is in the queue
  send_to(sender.get(), local_of(fd.get()), "behind");
  Talk talk;
  std::vector<std::string> payloads;
  for (const Message& one : talk.queue(fd.get())) payloads.push_back(payload_of(one));
  CHECK(payloads == std::vector<std::string>{"before", "behind"});
  // The same of a list.
  talk.take(fd.get(), 1);
  payloads.clear();
  for (const Message& one : talk.held(1)) payloads.push_back(payload_of(one));
  CHECK(payloads == std::vector<std::string>{"before", "behind"});
  talk.put(1, UDPCR_POSITION_FRONT);
  CHECK(texts(receive_all(fd.get())) == std::vector<std::string>{"before", "behind"});
  CHECK(charged(fd.get()) == 0);
}

TEST_CASE("queue: a dump is one instant, while a sender and a reader run", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
  const Address to = local_of(fd.get());
  std::atomic<unsigned> sent{0};
  std::atomic<unsigned> read{0};
  std::atomic<bool> stop{false};
  std::thread sending([&] {
    const UniqueFd sender = unbound(AF_INET);
    while (!stop) {
      if (sent - read > 500) {
        std::this_thread::yield();
        continue;
      }
      send_to(sender.get(), to, std::to_string(sent));
      ++sent;
    }
  });
  std::thread reading([&] {
    Received one;
    while (!stop) {
      if (receive(fd.get(), one)) {
        ++read;
      } else {
        std::this_thread::yield();
      }
    }
  });
  Talk talk;
  std::string wrong;
  std::size_t longest = 0;
  for (int i = 0; i < 300 && wrong.empty(); ++i) {
    const auto queue = talk.queue(fd.get());
    longest = std::max(longest, queue.size());
    for (std::size_t k = 1; k < queue.size(); ++k) {
      if (std::stoul(payload_of(queue[k])) != std::stoul(payload_of(queue[k - 1])) + 1) {
        wrong = payload_of(queue[k]) + " stands behind " + payload_of(queue[k - 1]);
      }
    }
  }
  stop = true;
  sending.join();
  reading.join();
  CHECK(wrong == "");
  CHECK(longest > 1);
  CHECK(dropped(fd.get()) == 0);
}

TEST_CASE("queue: 20,000 datagrams, and a dump that is given up in the middle") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
  const UniqueFd sender = unbound(AF_INET);
  for (int i = 0; i < 20000; ++i) send_to(sender.get(), local_of(fd.get()), std::to_string(i));
  {
    Talk gives_up;
    gives_up.begin_dump(Request(UDPCR_CMD_QUEUE).socket(fd.get()));
    Answer part;
    REQUIRE(gives_up.next_part(part));
    CHECK(part.messages.size() > 1);
  }
  const auto queue = Talk().queue(fd.get());
  REQUIRE(queue.size() == 20000);
  for (std::size_t i = 0; i < queue.size(); ++i) REQUIRE(payload_of(queue[i]) == std::to_string(i));
  CHECK(receive_all(fd.get()).size() == 20000);
  CHECK(charged(fd.get()) == 0);
}

TEST_CASE("queue: a dump outlives the socket that it is of") {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20);
  const UniqueFd sender = unbound(AF_INET);
  const std::string payload = pattern(1000, 1);
  for (int i = 0; i < 1000; ++i) send_to(sender.get(), local_of(fd.get()), payload);
  Talk talk;
  talk.begin_dump(Request(UDPCR_CMD_QUEUE).socket(fd.get()));
  Answer answer;
  REQUIRE(talk.next_part(answer));
  fd.reset();
  while (talk.next_part(answer)) {
  }
  CHECK(answer.error == 0);
  CHECK(answer.messages.size() == 1000);
}
