// SPDX-License-Identifier: LGPL-2.1-or-later
//
// IP options, extension headers, flow label, priority, and whether somebody has
// peeked: told, put back, and refused where the IP layer would refuse them.
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "kernel_numbers.hpp"
#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// linux/ip.h
constexpr std::uint8_t kRecordRoute = 7;
constexpr std::uint8_t kTimestamp = 68;
constexpr std::uint8_t kRouterAlert = 148;

// What `from` has got, put on a fresh socket at the same address, is received
// there as it is on `from`.
Received go_round(int from, const Message& told) {
  UniqueFd to = unbound(local_of(from).family);
  set(to.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  set(to.get(), SOL_UDP, 102 /* UDP_NO_CHECK6_RX */, 1);
  ask_for_all(to.get());
  bind_to(to.get(), local_of(from));
  Talk talk;
  talk.stage(to.get(), 1);
  talk.add(1, told);
  const auto held = talk.held(1);
  REQUIRE(held.size() == 1);
  for (const Attr& attr : told.all) {
    INFO("attribute " << attr.type);
    CHECK((held[0].bytes(attr.type) == attr.value));
  }
  talk.put(1, UDPCR_POSITION_FRONT);
  Received wanted;
  Received seen;
  REQUIRE(receive(from, wanted));
  REQUIRE(receive(to.get(), seen));
  INFO("wanted " << to_string(wanted) << "\nseen   " << to_string(seen));
  CHECK((wanted == seen));
  CHECK(charged(to.get()) == 0);
  return seen;
}

UniqueFd asking(const Address& where) {
  UniqueFd fd = unbound(where.family);
  set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  set(fd.get(), SOL_UDP, 102 /* UDP_NO_CHECK6_RX */, 1);
  ask_for_all(fd.get());
  bind_to(fd.get(), where);
  return fd;
}

Message only_one(int fd) {
  await_count(fd, 1);
  const auto queue = Talk().queue(fd);
  REQUIRE(queue.size() == 1);
  return queue[0];
}

// An IPv6 packet with these extension headers, from the other machine.
void send_with_headers(std::uint16_t port, std::uint8_t first, const Bytes& headers) {
  const In there(Net::far);
  const UniqueFd raw(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  REQUIRE(raw.get() >= 0);
  Bytes packet = {0x60, 0, 0, 0, 0, static_cast<std::uint8_t>(headers.size() + 8 + 2), first, 64};
  packet[1] = 0x0a;  // flow label 0xa1234
  packet[2] = 0x12;
  packet[3] = 0x34;
  for (const char* end : {"fd00:9::2", "fd00:9::1"}) {
    const Address one = address(end);
    packet.insert(packet.end(), one.bytes, one.bytes + 16);
  }
  packet.insert(packet.end(), headers.begin(), headers.end());
  const Bytes udp = {
      0,   99, static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port), 0, 10, 0, 0,
      'h', 'i'};
  packet.insert(packet.end(), udp.begin(), udp.end());
  socklen_t length = 0;
  sockaddr_storage to = address("fd00:9::1").to_sockaddr(length);
  REQUIRE(::sendto(raw.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&to),
                   length) == static_cast<ssize_t>(packet.size()));
}

Bytes extension(std::uint8_t next, std::uint8_t mark) {
  return {next, 0, 0x1e, 4, mark, 2, 3, 4};  // an option for experiments (RFC 4727)
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Answer add(int fd, Request datagram) {
  Talk talk;
  talk.stage(fd, 1);
  datagram.u32(UDPCR_A_HANDLE, 1).bytes(UDPCR_A_PAYLOAD, {1});
  return talk.ask(datagram);
}

}  // namespace

TEST_CASE("ip options: IPv4, as IP_RECVOPTS and IP_RETOPTS give them", "[smoke]") {
  const Bytes options = GENERATE(
      Bytes{kRecordRoute, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}, Bytes{kRouterAlert, 4, 0, 0},
      Bytes{kRecordRoute, 7, 4, 0, 0, 0, 0, 0}, Bytes{kTimestamp, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0},
      Bytes{kTimestamp, 20, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
      Bytes{kRecordRoute,
            39,
            4,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0});
  const UniqueFd from = asking(address(GENERATE("10.9.0.1", "::")));
  UniqueFd sender;
  {
    const In there(Net::far);
    sender = unbound(AF_INET);
  }
  REQUIRE(::setsockopt(sender.get(), SOL_IP, IP_OPTIONS, options.data(),
                       static_cast<socklen_t>(options.size())) == 0);
  send_to(sender.get(), address("10.9.0.1", local_of(from.get()).port), "with options");
  const Message told = only_one(from.get());
  CHECK(told.bytes(UDPCR_A_IP_OPTIONS).size() == options.size());
  CHECK(told.bytes(UDPCR_A_IP_OPTIONS).at(0) == options[0]);
  const Received seen = go_round(from.get(), told);
  CHECK(seen.payload == "with options");
  CHECK(seen.ancillary.at("IP_RECVOPTS") == told.bytes(UDPCR_A_IP_OPTIONS));
}

TEST_CASE("ip options: extension headers, in every order of asking for them", "[smoke]") {
  const Bytes route = {IPPROTO_DSTOPTS, 0, 0, 0, 0, 0, 0, 0};
  struct Case {
    std::uint8_t first;
    Bytes headers;
    const char* shows;
  };
  const Case one = GENERATE_COPY(
      Case{IPPROTO_HOPOPTS, extension(IPPROTO_UDP, 1), "IPV6_HOPOPTS"},
      Case{IPPROTO_DSTOPTS, extension(IPPROTO_UDP, 2), "IPV6_2292DSTOPTS"},
      Case{IPPROTO_HOPOPTS,
           joined({extension(IPPROTO_DSTOPTS, 1), extension(IPPROTO_ROUTING, 2), route,
                   extension(IPPROTO_UDP, 3)}),
           "IPV6_RTHDR"},
      // A fragment that is the whole datagram.
      Case{IPPROTO_FRAGMENT,
           joined({{IPPROTO_DSTOPTS, 0, 0, 0, 9, 9, 9, 9}, extension(IPPROTO_UDP, 4)}),
           "IPV6_DSTOPTS"});
  const UniqueFd from = asking(address("::"));
  send_with_headers(local_of(from.get()).port, one.first, one.headers);
  const Message told = only_one(from.get());
  CHECK(told.u8(UDPCR_A_NEXT_HEADER) == one.first);
  CHECK(told.bytes(UDPCR_A_IP_OPTIONS) == one.headers);
  CHECK(told.u32(UDPCR_A_FLOW_LABEL) == 0xa1234);
  const Received seen = go_round(from.get(), told);
  CHECK(seen.payload == "hi");
  CHECK(seen.ancillary.count(one.shows) == 1);
  CHECK(seen.ancillary.count("IPV6_FLOWINFO") == 1);
}

TEST_CASE("ip options: the largest fragment, and the sender's priority", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd from = asking(address(v6 ? "fd00:9::1" : "10.9.0.1"));
  UniqueFd sender;
  {
    const In there(Net::far);
    sender = unbound(v6 ? AF_INET6 : AF_INET);
  }
  send_to(sender.get(), local_of(from.get()), std::string(4000, 'f'));
  const Message told = only_one(from.get());
  CHECK(told.u16(UDPCR_A_FRAG_SIZE) > 1000);
  const Received seen = go_round(from.get(), told);
  CHECK(seen.number(v6 ? "IPV6_RECVFRAGSIZE" : "IP_RECVFRAGSIZE") == told.u16(UDPCR_A_FRAG_SIZE));

  const UniqueFd here = asking(address(v6 ? "::1" : "127.0.0.1"));
  const UniqueFd near = unbound(v6 ? AF_INET6 : AF_INET);
  set(near.get(), SOL_SOCKET, SO_PRIORITY, 5);
  send_to(near.get(), local_of(here.get()), "urgent");
  const Message urgent = only_one(here.get());
  CHECK(urgent.u32(UDPCR_A_PRIORITY) == 5);
  go_round(here.get(), urgent);
}

TEST_CASE("ip options: who has peeked, which SO_PEEK_OFF minds", "[smoke]") {
  const UniqueFd from = asking(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  send_to(sender.get(), local_of(from.get()), "");
  send_to(sender.get(), local_of(from.get()), "behind");
  Talk talk;
  CHECK_FALSE(talk.queue(from.get()).at(0).has(UDPCR_A_PEEKED));
  Received seen;
  REQUIRE(receive(from.get(), seen, MSG_PEEK));
  const auto queue = talk.queue(from.get());
  REQUIRE(queue.size() == 2);
  CHECK(queue[0].has(UDPCR_A_PEEKED));
  // The next peek passes over what is empty and was seen; so on the copy.
  const UniqueFd to = asking(local_of(from.get()));
  talk.stage(to.get(), 1);
  for (const Message& one : queue) talk.add(1, one);
  CHECK(talk.held(1).at(0).has(UDPCR_A_PEEKED));
  talk.put(1, UDPCR_POSITION_FRONT);
  for (const UniqueFd* fd : {&from, &to}) {
    set(fd->get(), SOL_SOCKET, SO_PEEK_OFF, 0);
    REQUIRE(receive(fd->get(), seen, MSG_PEEK));
    CHECK(seen.payload == "behind");
  }
}

TEST_CASE("ip options: what the IP layer would not have let in is refused", "[smoke]") {
  const UniqueFd four = socket_at(address("127.0.0.1"));
  const UniqueFd six = socket_at(address("::1"));
  const auto v4 = [&](const Bytes& options) {
    return add(four.get(), Request(UDPCR_CMD_DATAGRAM).bytes(UDPCR_A_IP_OPTIONS, options));
  };
  const auto v6 = [&](std::uint8_t first, const Bytes& headers) {
    return add(six.get(), Request(UDPCR_CMD_DATAGRAM)
                              .u8(UDPCR_A_NEXT_HEADER, first)
                              .bytes(UDPCR_A_IP_OPTIONS, headers));
  };
  CHECK(unlike(v4(Bytes(5, 1)), EINVAL, {"5 bytes"}) == "");
  CHECK(unlike(v4(Bytes(44, 1)), EINVAL, {"44 bytes"}) == "");
  // Lengths of 0, of more than there is, and a pointer in front of the data.
  CHECK(unlike(v4({kRecordRoute, 0, 4, 0}), EINVAL, {"byte 0"}) == "");
  CHECK(unlike(v4({1, kRecordRoute, 40, 4}), EINVAL, {"byte 1"}) == "");
  CHECK(unlike(v4({kRecordRoute, 7, 0, 0, 0, 0, 0, 0}), EINVAL, {"byte 2"}) == "");
  CHECK(unlike(v4({131, 7, 0, 0, 0, 0, 0, 0}), EINVAL) == "");
  CHECK(unlike(v4({kTimestamp, 4, 5, 0xf0}), EINVAL) == "");
  CHECK(unlike(v4({134, 6, 0, 0, 0, 0, 0, 0}), 0) != "");  // CIPSO: must not harm
  CHECK(unlike(v6(IPPROTO_HOPOPTS, Bytes(7, 0)), EINVAL, {"byte 0"}) == "");
  CHECK(unlike(v6(IPPROTO_HOPOPTS, {IPPROTO_UDP, 1, 0, 0, 0, 0, 0, 0}), EINVAL) == "");
  CHECK(unlike(v6(IPPROTO_HOPOPTS, {IPPROTO_UDP, 255, 0, 0, 0, 0, 0, 0}), EINVAL) == "");
  CHECK(unlike(v6(IPPROTO_HOPOPTS, extension(IPPROTO_TCP, 1)), EINVAL, {"header 6"}) == "");
  CHECK(unlike(
            v6(IPPROTO_DSTOPTS, joined({extension(IPPROTO_HOPOPTS, 1), extension(IPPROTO_UDP, 1)})),
            EINVAL, {"header 0 at byte 8"}) == "");
  // Readers would take a fragment's reserved byte for its length.
  CHECK(unlike(v6(IPPROTO_FRAGMENT, {IPPROTO_UDP, 200, 0, 0, 0, 0, 0, 0}), EINVAL) == "");
  CHECK(unlike(v6(IPPROTO_AH, extension(IPPROTO_UDP, 1)), EINVAL, {"header 51"}) == "");
  CHECK(unlike(v6(IPPROTO_UDP, {}), EINVAL, {"need each other"}) == "");
  CHECK(unlike(v6(IPPROTO_HOPOPTS, Bytes(UDPCR_MAX_IP_OPTIONS + 8, 0)), ERANGE) == "");
  CHECK(
      unlike(add(six.get(),
                 Request(UDPCR_CMD_DATAGRAM).bytes(UDPCR_A_IP_OPTIONS, extension(IPPROTO_UDP, 1))),
             EINVAL, {"need each other"}) == "");
  CHECK(unlike(add(six.get(), Request(UDPCR_CMD_DATAGRAM).u32(UDPCR_A_FLOW_LABEL, 1U << 20)),
               EINVAL, {"20 bits"}) == "");
  CHECK(unlike(add(four.get(), Request(UDPCR_CMD_DATAGRAM).u32(UDPCR_A_FLOW_LABEL, 1)), EINVAL,
               {"IPv6"}) == "");
  CHECK(unlike(add(four.get(), Request(UDPCR_CMD_DATAGRAM).u8(UDPCR_A_NEXT_HEADER, 0)), EINVAL,
               {"IPv6"}) == "");
  CHECK(charged(four.get()) == 0);
  CHECK(charged(six.get()) == 0);
}

TEST_CASE("ip options: any bytes are refused, or can be read without harm") {
  // Cheap to make, and the same on every run.
  std::uint32_t state = 12345;
  const auto random = [&] { return (state = state * 1664525U + 1013904223U) >> 16; };
  const UniqueFd four = asking(address("127.0.0.1"));
  const UniqueFd six = asking(address("::1"));
  unsigned taken = 0;
  for (int round = 0; round < 3000; ++round) {
    const bool v6 = round % 2 == 0;
    Bytes options(v6 ? 8 * (1 + random() % 6) : 4 * (1 + random() % 10));
    constexpr std::uint8_t kLikely[] = {0,  1,  4,  5,  7,   8,   11,  17,
                                        43, 44, 60, 68, 131, 134, 137, 148};
    for (std::uint8_t& byte : options) {
      byte = random() % 4 != 0 ? kLikely[random() % sizeof kLikely]
                               : static_cast<std::uint8_t>(random());
    }
    constexpr std::uint8_t kFirst[] = {0, 43, 44, 60};
    if (v6 && round % 4 == 0) {
      for (std::size_t at = 0; at < options.size(); at += 8) {
        options[at] = at + 8 == options.size() ? 17 : kFirst[1 + random() % 3];
        options[at + 1] = 0;
      }
    }
    const int fd = v6 ? six.get() : four.get();
    Talk talk;
    talk.stage(fd, 1);
    Request request(UDPCR_CMD_DATAGRAM);
    request.u32(UDPCR_A_HANDLE, 1).bytes(UDPCR_A_PAYLOAD, {1}).bytes(UDPCR_A_IP_OPTIONS, options);
    if (v6) request.u8(UDPCR_A_NEXT_HEADER, kFirst[random() % 4]);
    const Answer answer = talk.ask(request);
    if (answer.error != 0) {
      CHECK(answer.error == EINVAL);
      continue;
    }
    ++taken;
    talk.put(1, UDPCR_POSITION_FRONT);
    CHECK(talk.queue(fd).at(0).bytes(UDPCR_A_IP_OPTIONS) == options);
    Received seen;
    REQUIRE(receive(fd, seen));
  }
  CHECK(taken > 100);
}
