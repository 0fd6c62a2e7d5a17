// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Corked data comes back with the module, and leaves as it would have.
#include <netinet/udp.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "kernel_numbers.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

#define MODULE_TEST(name) TEST_CASE(name, "[.][module]")

void begin(int fd, const std::string& payload, int flags = MSG_MORE) {
  REQUIRE(::send(fd, payload.data(), payload.size(), flags) ==
          static_cast<ssize_t>(payload.size()));
}

SocketState corked(int fd) {
  SocketState state = make_engine(UseEngine::module)->capture(fd, {});
  INFO(list(state.losses));
  CHECK(state.losses.empty());
  REQUIRE(state.send_queue.count() == 1);
  return state;
}

}  // namespace

MODULE_TEST("what was corked leaves as one datagram after the restore") {
  const bool by_option = GENERATE(false, true);
  const std::string ip = GENERATE("127.0.0.1", "::1");
  const bool connected = GENERATE(false, true);
  const UniqueFd reader = socket_at(address(ip));
  ask_for_everything(reader.get());
  const Address there = local_of(reader.get());
  UniqueFd fd = socket_at(address(ip));
  const Address here = local_of(fd.get());
  set(fd.get(), SOL_IP, IP_TTL, 33);
  if (connected) connect_to(fd.get(), there);
  if (by_option) set(fd.get(), SOL_UDP, UDP_CORK, 1);
  socklen_t size = 0;
  const sockaddr_storage name = there.to_sockaddr(size);
  REQUIRE(::sendto(fd.get(), "one ", 4, by_option ? 0 : MSG_MORE,
                   connected ? nullptr : reinterpret_cast<const sockaddr*>(&name),
                   connected ? 0 : size) == 4);
  const SocketState state = corked(fd.get());
  // Closing throws it away: nothing leaves twice.
  fd.reset();
  const Restored restored = make_engine(UseEngine::module)->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(read_all(reader.get()).empty());
  CHECK(get(restored.fd.get(), SOL_UDP, UDP_CORK) == (by_option ? 1 : 0));
  CHECK(decode_all(corked(restored.fd.get()).send_queue) == decode_all(state.send_queue));
  begin(restored.fd.get(), "two", 0);
  if (by_option) set(restored.fd.get(), SOL_UDP, UDP_CORK, 0);
  const auto seen = read_some(reader.get(), 1);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].payload == "one two");
  CHECK(seen[0].source == here);
  if (ip == "127.0.0.1") CHECK(seen[0].ttl == 33);
}

MODULE_TEST("a corked datagram keeps what was said with it") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd reader = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  ask_for_everything(reader.get());
  UniqueFd fd = socket_at(address(v6 ? "::" : "0.0.0.0"));
  alignas(cmsghdr) char control[256] = {};
  msghdr message{};
  message.msg_control = control;
  const auto say = [&](int level, int type, const auto& value) {
    cmsghdr header{};
    header.cmsg_level = level;
    header.cmsg_type = type;
    header.cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(control + message.msg_controllen, &header, sizeof header);
    std::memcpy(control + message.msg_controllen + CMSG_LEN(0), &value, sizeof value);
    message.msg_controllen += CMSG_SPACE(sizeof value);
  };
  if (v6) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, address("2001:db8::7").bytes, 16);
    say(SOL_IPV6, IPV6_PKTINFO, info);
    say(SOL_IPV6, IPV6_TCLASS, 0x28);
    say(SOL_IPV6, IPV6_HOPLIMIT, 77);
  } else {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, address("192.0.2.7").bytes, 4);
    say(SOL_IP, IP_PKTINFO, info);
    say(SOL_IP, IP_TOS, 0x28);
    say(SOL_IP, IP_TTL, 77);
  }
  say(SOL_SOCKET, SO_MARK, 99);
  say(SOL_UDP, kUdpSegment, std::uint16_t{1000});
  std::string payload(2500, 'c');
  iovec vector{payload.data(), payload.size()};
  socklen_t size = 0;
  sockaddr_storage name = local_of(reader.get()).to_sockaddr(size);
  message.msg_name = &name;
  message.msg_namelen = size;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  REQUIRE(::sendmsg(fd.get(), &message, MSG_MORE) == 2500);
  const SocketState state = corked(fd.get());
  fd.reset();
  const Restored restored = make_engine(UseEngine::module)->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(decode_all(corked(restored.fd.get()).send_queue) == decode_all(state.send_queue));
  begin(restored.fd.get(), "", 0);
  const auto seen = read_some(reader.get(), 3);
  REQUIRE(seen.size() == 3);
  CHECK(seen[0].payload.size() == 1000);
  CHECK(seen[2].payload.size() == 500);
  CHECK(seen[0].source.port == state.record.local.port);
  CHECK(to_string(seen[0].source).find(v6 ? "2001:db8::7" : "192.0.2.7") != std::string::npos);
  CHECK(seen[0].tos == 0x28);
  CHECK(seen[0].ttl == 77);
}

MODULE_TEST("an IPv4 datagram corked on an IPv6 socket comes back, and shut down for sending") {
  const UniqueFd reader = socket_at(address("127.0.0.1"));
  UniqueFd fd = unbound(AF_INET6);
  connect_to(fd.get(), address("::ffff:127.0.0.1", local_of(reader.get()).port));
  begin(fd.get(), "mapped");
  const SocketState state = corked(fd.get());
  fd.reset();
  const Restored restored = make_engine(UseEngine::module)->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  begin(restored.fd.get(), " two", 0);
  CHECK(payloads(read_some(reader.get(), 1)) == std::vector<std::string>{"mapped two"});
}

MODULE_TEST("a cork that is not asked for, or cannot be had again, is named") {
  UniqueFd fd = unbound(AF_INET);
  connect_to(fd.get(), address("127.0.0.1", 9));
  begin(fd.get(), "half");
  const auto engine = make_engine(UseEngine::module);
  const SocketState less = engine->capture(fd.get(), {Queues::receive, 0});
  CHECK(less.send_queue.empty());
  CHECK(names(less.losses, "cork"));

  SocketState state = state_of(address("127.0.0.1", free_port()), {});
  Datagram datagram;
  datagram.source = state.record.local;
  datagram.destination = address("127.0.0.1", 9);
  datagram.ifindex = 4711;
  datagram.payload = bytes("four");
  state.send_queue.append(encode_datagram(datagram));
  const Restored restored = engine->restore(state, {});
  const std::string text = list(restored.losses);
  INFO(text);
  CHECK(text.find("cork: 4 bytes were corked: to 127.0.0.1:9: ") != std::string::npos);
  CHECK(engine->capture(restored.fd.get(), {}).record.cork_length == 0);
}
