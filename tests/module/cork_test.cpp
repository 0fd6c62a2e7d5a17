// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The corked datagram as the module tells it, beside what is then sent.
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

const Address kNowhere{};

}  // namespace

TEST_CASE("cork: all pieces, their destination, TOS and TTL; then it is sent as it was",
          "[smoke]") {
  const std::string where = GENERATE("127.0.0.1", "::1", "::ffff:127.0.0.1");
  const bool more = GENERATE(false, true);
  const bool v6 = where != "127.0.0.1";
  const bool v4_wire = where != "::1";
  const UniqueFd sink = socket_at(address(v4_wire ? "127.0.0.1" : "::1"));
  ask_for_all(sink.get());
  Address to = address(where, local_of(sink.get()).port);
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  set(fd.get(), SOL_IP, IP_TOS, 0x28);
  set(fd.get(), SOL_IP, IP_TTL, 42);
  if (v6) {
    set(fd.get(), SOL_IPV6, IPV6_TCLASS, 0x28);
    set(fd.get(), SOL_IPV6, IPV6_UNICAST_HOPS, 42);
  }
  if (!more) set(fd.get(), SOL_UDP, UDP_CORK, 1);
  Talk talk;
  CHECK(talk.queue(fd.get(), UDPCR_QUEUE_SEND).empty());
  const std::string pieces[] = {"first ", std::string(2000, 'm'), " last"};
  std::string whole;
  for (const std::string& piece : pieces) {
    send_with(fd.get(), to, piece, {.flags = more ? MSG_MORE : 0});
    whole += piece;
    CHECK(talk.record(fd.get()).u32(UDPCR_A_CORK_LEN) == whole.size());
    const auto queue = talk.queue(fd.get(), UDPCR_QUEUE_SEND);
    REQUIRE(queue.size() == 1);
    CHECK(queue[0].command == UDPCR_CMD_DATAGRAM);
    CHECK((text(queue[0].bytes(UDPCR_A_PAYLOAD)) == whole));
    const Address destination = queue[0].address(UDPCR_A_DST_ADDR, UDPCR_A_DST_PORT);
    CHECK(destination == address(v4_wire ? "127.0.0.1" : "::1", to.port));
  }
  // The kernel keeps TOS and TTL of a cork where they differ from the
  // socket's; what is told must be what goes out.
  const auto queue = talk.queue(fd.get(), UDPCR_QUEUE_SEND);
  if (queue[0].has(UDPCR_A_TOS)) CHECK(queue[0].u8(UDPCR_A_TOS) == 0x28);
  if (queue[0].has(UDPCR_A_TTL)) CHECK(queue[0].u8(UDPCR_A_TTL) == 42);
  // Reading has changed nothing.
  if (more) {
    send_with(fd.get(), to, "!", {});
    whole += "!";
  } else {
    set(fd.get(), SOL_UDP, UDP_CORK, 0);
  }
  Received seen;
  REQUIRE(receive(sink.get(), seen));
  CHECK((seen.payload == whole));
  CHECK(seen.number(v4_wire ? "IP_TTL" : "IPV6_HOPLIMIT") == 42);
  CHECK(seen.number(v4_wire ? "IP_TOS" : "IPV6_TCLASS") == 0x28);
  CHECK(talk.queue(fd.get(), UDPCR_QUEUE_SEND).empty());
  CHECK_FALSE(talk.record(fd.get()).has(UDPCR_A_CORK_LEN));
}

TEST_CASE("cork: TOS and TTL that were given with the message") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd sink = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  send_with(fd.get(), local_of(sink.get()), "piece", {.ttl = 17, .tos = 0x44, .flags = MSG_MORE});
  const auto queue = Talk().queue(fd.get(), UDPCR_QUEUE_SEND);
  REQUIRE(queue.size() == 1);
  CHECK(queue[0].u8(UDPCR_A_TTL) == 17);
  CHECK(queue[0].u8(UDPCR_A_TOS) == 0x44);
}

TEST_CASE("cork: the segment size of UDP_SEGMENT") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd sink = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  send_with(fd.get(), local_of(sink.get()), std::string(2500, 's'),
            {.segment = 1000, .flags = MSG_MORE});
  const auto queue = Talk().queue(fd.get(), UDPCR_QUEUE_SEND);
  REQUIRE(queue.size() == 1);
  CHECK(queue[0].u16(UDPCR_A_GSO_SIZE) == 1000);
  CHECK(queue[0].bytes(UDPCR_A_PAYLOAD).size() == 2500);
}

TEST_CASE("cork: a connected socket's goes to its peer") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd sink = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  connect_to(fd.get(), local_of(sink.get()));
  send_with(fd.get(), kNowhere, "to the peer", {.flags = MSG_MORE});
  const auto queue = Talk().queue(fd.get(), UDPCR_QUEUE_SEND);
  REQUIRE(queue.size() == 1);
  CHECK(queue[0].address(UDPCR_A_DST_ADDR, UDPCR_A_DST_PORT) == local_of(sink.get()));
}

TEST_CASE("cork: 60,000 bytes in many pieces") {
  const UniqueFd sink = socket_at(address("10.9.0.1"));
  const UniqueFd fd = unbound(AF_INET);
  set(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20);
  std::string whole;
  for (int i = 0; i < 60; ++i) {
    const std::string piece(1000, static_cast<char>('a' + i % 26));
    // Over the wire's MTU: the fragments are made already.
    send_with(fd.get(), address("10.9.0.2", 9), piece, {.flags = MSG_MORE});
    whole += piece;
  }
  const auto queue = Talk().queue(fd.get(), UDPCR_QUEUE_SEND);
  REQUIRE(queue.size() == 1);
  CHECK((text(queue[0].bytes(UDPCR_A_PAYLOAD)) == whole));
}

TEST_CASE("cork: options given with the message, and extension headers of the socket", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd sink = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  ask_for_all(sink.get());
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  const Address to = local_of(sink.get());
  Bytes options = {7, 7, 4, 0, 0, 0, 0, 0};  // record route
  if (v6) {
    options = {0, 0, 0x1e, 4, 1, 2, 3, 4};
    for (const int name : {IPV6_HOPOPTS, IPV6_DSTOPTS}) {
      REQUIRE(::setsockopt(fd.get(), SOL_IPV6, name, options.data(),
                           static_cast<socklen_t>(options.size())) == 0);
    }
    send_with(fd.get(), to, "piece", {.flags = MSG_MORE});
  } else {
    alignas(cmsghdr) char control[CMSG_SPACE(8)] = {};
    char piece[] = "piece";
    iovec vector{piece, 5};
    socklen_t length = 0;
    sockaddr_storage name = to.to_sockaddr(length);
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = length;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const item = CMSG_FIRSTHDR(&message);
    item->cmsg_level = SOL_IP;
    item->cmsg_type = IP_RETOPTS;
    item->cmsg_len = CMSG_LEN(8);
    std::memcpy(CMSG_DATA(item), options.data(), 8);
    REQUIRE(::sendmsg(fd.get(), &message, MSG_MORE) == 5);
  }
  const auto queue = Talk().queue(fd.get(), UDPCR_QUEUE_SEND);
  REQUIRE(queue.size() == 1);
  CHECK(text(queue[0].bytes(UDPCR_A_PAYLOAD)) == "piece");
  const Bytes told = queue[0].bytes(UDPCR_A_IP_OPTIONS);
  if (v6) {
    CHECK(queue[0].u8(UDPCR_A_NEXT_HEADER) == IPPROTO_HOPOPTS);
    Bytes chain = options;
    chain[0] = IPPROTO_DSTOPTS;
    chain.insert(chain.end(), options.begin(), options.end());
    chain[8] = IPPROTO_UDP;
    CHECK(told == chain);
  } else {
    CHECK(told == options);
  }
  // Then it is sent so.
  send_with(fd.get(), to, "!", {});
  Received seen;
  REQUIRE(receive(sink.get(), seen));
  CHECK(seen.payload == "piece!");
  if (v6) {
    CHECK(seen.ancillary.at("IPV6_HOPOPTS") == Bytes(told.begin(), told.begin() + 8));
    CHECK(seen.ancillary.at("IPV6_DSTOPTS") == Bytes(told.begin() + 8, told.end()));
  } else {
    CHECK(seen.ancillary.at("IP_RECVOPTS").at(0) == 7);
  }
}

TEST_CASE("cork: a source address, an interface and a flow label of its own", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  if (v6) set(fd.get(), SOL_IPV6, IPV6_UNICAST_IF, static_cast<int>(htonl(index_of("left"))));
  if (v6) set(fd.get(), SOL_IPV6, 70 /* IPV6_AUTOFLOWLABEL */, 0);
  bind_to(fd.get(), address(v6 ? "fd00:9::1" : "10.9.0.1"));
  send_with(fd.get(), address(v6 ? "fd00:9::2" : "10.9.0.2", 9), "piece", {.flags = MSG_MORE});
  const auto queue = Talk().queue(fd.get(), UDPCR_QUEUE_SEND);
  REQUIRE(queue.size() == 1);
  CHECK(queue[0].address(UDPCR_A_SRC_ADDR, UDPCR_A_SRC_PORT) == local_of(fd.get()));
  CHECK(queue[0].u32(UDPCR_A_IFINDEX) == index_of("left"));
  CHECK_FALSE(queue[0].has(UDPCR_A_FLOW_LABEL));
}
