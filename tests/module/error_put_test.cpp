// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Messages put into an error queue, beside those that the kernel put there.
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "kernel_numbers.hpp"
#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

UniqueFd asking(int family) {
  UniqueFd fd = unbound(family);
  ask_for_all(fd.get());
  set(fd.get(), SOL_IP, IP_RECVERR, 1);
  if (family == AF_INET6) set(fd.get(), SOL_IPV6, IPV6_RECVERR, 1);
  return fd;
}

std::vector<Message> await_errors(int fd, std::size_t count) {
  Talk talk;
  for (int i = 0; i < 500 && talk.queue(fd, UDPCR_QUEUE_ERROR).size() < count; ++i) {
    pollfd wait{fd, 0, 0};
    ::poll(&wait, 1, 5);
  }
  return talk.queue(fd, UDPCR_QUEUE_ERROR);
}

// What stands in the error queue of `from`, put into that of `to`, is read there
// as it is on `from`.
std::vector<Received> go_round(int from, int to, std::size_t count) {
  const auto queue = await_errors(from, count);
  REQUIRE(queue.size() == count);
  Talk talk;
  talk.stage(to, 1, UDPCR_QUEUE_ERROR);
  for (const Message& one : queue) talk.add(1, one);
  const auto held = talk.held(1);
  REQUIRE(held.size() == count);
  for (std::size_t i = 0; i < count; ++i) {
    for (const Attr& attr : queue[i].all) {
      INFO("attribute " << attr.type << " of message " << i);
      CHECK((held[i].bytes(attr.type) == attr.value));
    }
  }
  CHECK(talk.record(to).u32(UDPCR_A_HELD_COUNT) == count);
  CHECK(charged(to) > 0);
  talk.put(1, UDPCR_POSITION_BEHIND);
  CHECK(talk.record(to).u32(UDPCR_A_ERROR_COUNT) == count);
  pollfd wait{to, 0, 0};
  CHECK(::poll(&wait, 1, 0) == 1);
  CHECK((wait.revents & POLLERR) != 0);
  (void)get(from, SOL_SOCKET, SO_ERROR);
  auto wanted = receive_all(from, MSG_ERRQUEUE);
  (void)get(to, SOL_SOCKET, SO_ERROR);
  auto seen = receive_all(to, MSG_ERRQUEUE);
  REQUIRE(wanted.size() == count);
  REQUIRE(seen.size() == count);
  for (std::size_t i = 0; i < count; ++i) {
    // Without a time of its own it gets that of its reading.
    if (!queue[i].has(UDPCR_A_TSTAMP)) {
      wanted[i].ancillary.erase("SO_TIMESTAMPNS");
      seen[i].ancillary.erase("SO_TIMESTAMPNS");
    }
    INFO("wanted " << to_string(wanted[i]) << "\nseen   " << to_string(seen[i]));
    CHECK((wanted[i] == seen[i]));
  }
  CHECK(charged(from) == 0);
  CHECK(charged(to) == 0);
  return seen;
}

Request report(std::uint8_t origin, std::uint32_t error, const Bytes& offender,
               std::uint8_t type = 0, std::uint8_t code = 0) {
  Request inner(UDPCR_CMD_DATAGRAM);
  inner.u32(UDPCR_ERRMSG_ERRNO, error).u8(UDPCR_ERRMSG_ORIGIN, origin);
  inner.u8(UDPCR_ERRMSG_TYPE, type).u8(UDPCR_ERRMSG_CODE, code);
  if (!offender.empty()) inner.bytes(UDPCR_ERRMSG_OFFENDER, offender);
  return Request(UDPCR_CMD_DATAGRAM).nest(UDPCR_A_ERRMSG, inner);
}

Request time_of_sending(const std::string& payload) {
  return report(SO_EE_ORIGIN_TIMESTAMPING, ENOMSG, {})
      .u32(UDPCR_A_HANDLE, 1)
      .bytes(UDPCR_A_PAYLOAD, bytes(payload));
}

}  // namespace

TEST_CASE("error put: ICMP errors with offender, destination and interface", "[smoke]") {
  const std::string where = GENERATE("10.9.0.2", "fd00:9::2", "::ffff:10.9.0.2");
  const int family = where == "10.9.0.2" ? AF_INET : AF_INET6;
  const UniqueFd from = asking(family);
  const UniqueFd to = asking(family);
  for (const char* payload : {"one", "two", ""}) {
    (void)get(from.get(), SOL_SOCKET, SO_ERROR);
    send_to(from.get(), address(where, 9), payload);
    settle();
  }
  const auto seen = go_round(from.get(), to.get(), 3);
  CHECK(seen[0].payload == "one");
  CHECK(seen[0].source == address(where, 9));
}

TEST_CASE("error put: local errors", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd from = asking(v6 ? AF_INET6 : AF_INET);
  const UniqueFd to = asking(v6 ? AF_INET6 : AF_INET);
  set(from.get(), v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, IP_PMTUDISC_DO);
  CHECK_THROWS(
      send_to(from.get(), address(v6 ? "fd00:9::2" : "10.9.0.2", 9), std::string(3000, 'x')));
  go_round(from.get(), to.get(), 1);
}

TEST_CASE("error put: times of sending, with the packet or without", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const int more = GENERATE(0, SOF_TIMESTAMPING_OPT_TSONLY);
  const UniqueFd from = asking(v6 ? AF_INET6 : AF_INET);
  const UniqueFd to = asking(v6 ? AF_INET6 : AF_INET);
  const UniqueFd sink = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  for (const UniqueFd* fd : {&from, &to}) {
    set(fd->get(), SOL_SOCKET, SO_TIMESTAMPING,
        SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |
            SOF_TIMESTAMPING_OPT_CMSG | more);
  }
  send_to(from.get(), local_of(sink.get()), "first");
  send_to(from.get(), local_of(sink.get()), "second");
  const auto seen = go_round(from.get(), to.get(), 2);
  sock_extended_err error{};
  const Bytes& told = seen[1].ancillary.at(v6 ? "41/25" : "0/11");
  std::memcpy(&error, told.data(), sizeof error);
  CHECK(error.ee_origin == SO_EE_ORIGIN_TIMESTAMPING);
  CHECK(error.ee_data == 1);
  CHECK(seen[1].ancillary.count("1/37") == 1);  // SCM_TIMESTAMPING
}

TEST_CASE("error put: in front of what came meanwhile, or behind it") {
  const UniqueFd fd = asking(AF_INET);
  Talk talk;
  const auto put = [&](const std::string& payload, std::uint32_t position) {
    talk.stage(fd.get(), 1, UDPCR_QUEUE_ERROR);
    for (const char* part : {"1", "2"}) talk.must(time_of_sending(payload + part));
    talk.put(1, position);
  };
  put("b", UDPCR_POSITION_BEHIND);
  put("c", UDPCR_POSITION_BEHIND);
  put("a", UDPCR_POSITION_FRONT);
  CHECK(texts(receive_all(fd.get(), MSG_ERRQUEUE)) ==
        std::vector<std::string>{"a1", "a2", "b1", "b2", "c1", "c2"});
  CHECK(charged(fd.get()) == 0);
}

TEST_CASE("error put: into a socket whose receive buffer is full", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_IP, IP_RECVERR, 1);
  set(fd.get(), SOL_SOCKET, SO_RCVBUF, 10000);
  const int limit = get(fd.get(), SOL_SOCKET, SO_RCVBUF);
  Talk talk;
  talk.stage(fd.get(), 1, UDPCR_QUEUE_ERROR);
  talk.must(time_of_sending("kept"));
  const UniqueFd sender = unbound(AF_INET);
  while (dropped(fd.get()) == 0) {
    send_to(sender.get(), local_of(fd.get()), std::string(1000, 'f'));
  }
  talk.put(1, UDPCR_POSITION_BEHIND);
  CHECK(get(fd.get(), SOL_SOCKET, SO_RCVBUF) == limit);
  CHECK(texts(receive_all(fd.get(), MSG_ERRQUEUE)) == std::vector<std::string>{"kept"});
  // And no more than twice the buffer is staged.
  talk.stage(fd.get(), 2, UDPCR_QUEUE_ERROR);
  Answer answer;
  for (int i = 0; i < 100 && answer.error == 0; ++i) {
    answer = talk.ask(report(SO_EE_ORIGIN_TIMESTAMPING, ENOMSG, {})
                          .u32(UDPCR_A_HANDLE, 2)
                          .bytes(UDPCR_A_PAYLOAD, Bytes(1000)));
  }
  CHECK(unlike(answer, ENOBUFS, {"SO_RCVBUF"}) == "");
  talk.drop(2);
  (void)receive_all(fd.get());
  CHECK(charged(fd.get()) == 0);
}

TEST_CASE("error put: what was staged is dropped with its netlink socket") {
  const UniqueFd fd = asking(AF_INET);
  {
    Talk talk;
    talk.stage(fd.get(), 1, UDPCR_QUEUE_ERROR);
    talk.must(time_of_sending("gone"));
    CHECK(charged(fd.get()) > 0);
  }
  CHECK(charged(fd.get()) == 0);
  CHECK(receive_all(fd.get(), MSG_ERRQUEUE).empty());
}

TEST_CASE("error put: what does not go together is refused", "[smoke]") {
  const UniqueFd four = asking(AF_INET);
  const UniqueFd six = asking(AF_INET6);
  Talk talk;
  talk.stage(four.get(), 1, UDPCR_QUEUE_ERROR);
  talk.stage(six.get(), 2, UDPCR_QUEUE_ERROR);
  talk.stage(four.get(), 3);
  const auto add = [&](std::uint32_t handle, Request request) {
    return talk.ask(request.u32(UDPCR_A_HANDLE, handle).bytes(UDPCR_A_PAYLOAD, {1}));
  };
  CHECK(unlike(add(1, Request(UDPCR_CMD_DATAGRAM)), EINVAL, {"UDPCR_A_ERRMSG is missing"}) == "");
  CHECK(unlike(add(3, report(SO_EE_ORIGIN_LOCAL, 1, {})), EINVAL, {"UDPCR_A_ERRMSG"}) == "");
  CHECK(unlike(add(1, Request(UDPCR_CMD_DATAGRAM)
                          .nest(UDPCR_A_ERRMSG,
                                Request(UDPCR_CMD_DATAGRAM).u32(UDPCR_ERRMSG_ERRNO, 1))),
               EINVAL, {"UDPCR_ERRMSG_ORIGIN"}) == "");
  CHECK(unlike(add(1, report(SO_EE_ORIGIN_ICMP, 1, {})), EINVAL, {"OFFENDER", "4 bytes"}) == "");
  CHECK(unlike(add(1, report(SO_EE_ORIGIN_ICMP, 1, Bytes(16))), EINVAL, {"OFFENDER"}) == "");
  CHECK(unlike(add(1, report(SO_EE_ORIGIN_LOCAL, 1, Bytes(4))), EINVAL, {"OFFENDER"}) == "");
  CHECK(unlike(add(1, report(SO_EE_ORIGIN_ICMP6, 1, Bytes(16))), EINVAL, {"ORIGIN 3"}) == "");
  CHECK(unlike(add(2, report(SO_EE_ORIGIN_ICMP, 1, Bytes(4))), EINVAL, {"ORIGIN 2"}) == "");
  // IPv4 errors on an IPv6 socket.
  CHECK(
      add(2,
          report(SO_EE_ORIGIN_ICMP, ECONNREFUSED, Bytes(4), 3, 3).bytes(UDPCR_A_DST_ADDR, Bytes(4)))
          .error == 0);
  CHECK(unlike(add(1, report(SO_EE_ORIGIN_LOCAL, 4096, {})), EINVAL, {"errno 4096"}) == "");
  CHECK(unlike(add(1, report(SO_EE_ORIGIN_LOCAL, 1, {}).bytes(UDPCR_A_IP_OPTIONS, Bytes(4, 1))),
               EINVAL, {"UDPCR_A_IP_OPTIONS"}) == "");
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_STAGE)
                            .socket(four.get())
                            .u32(UDPCR_A_HANDLE, 9)
                            .u32(UDPCR_A_QUEUE, UDPCR_QUEUE_SEND)),
               EINVAL, {"MSG_MORE"}) == "");
  CHECK(talk.held(1).empty());
  CHECK(talk.held(3).empty());
}
