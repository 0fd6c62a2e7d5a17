// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The error queue as the module tells it, beside what MSG_ERRQUEUE then gives.
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// The next message of the error queue agrees with `one`.
void compare(int fd, const Message& one) {
  Received seen;
  REQUIRE(receive(fd, seen, MSG_ERRQUEUE));
  CHECK(one.command == UDPCR_CMD_DATAGRAM);
  CHECK(text(one.bytes(UDPCR_A_PAYLOAD)) == seen.payload);
  const Address to = one.address(UDPCR_A_DST_ADDR, UDPCR_A_DST_PORT);
  CHECK(to == seen.source);  // recvmsg gives the destination as name
  const auto found = seen.ancillary.find(to.family == AF_INET ? "0/11" : "41/25");
  REQUIRE(found != seen.ancillary.end());
  sock_extended_err error{};
  std::memcpy(&error, found->second.data(), sizeof error);
  const auto nests = one.nests(UDPCR_A_ERRMSG);
  REQUIRE(nests.size() == 1);
  const Attrs& told = nests[0];
  CHECK(told.u32(UDPCR_ERRMSG_ERRNO) == error.ee_errno);
  CHECK(told.u8(UDPCR_ERRMSG_ORIGIN) == error.ee_origin);
  CHECK(told.u8(UDPCR_ERRMSG_TYPE) == error.ee_type);
  CHECK(told.u8(UDPCR_ERRMSG_CODE) == error.ee_code);
  CHECK(told.u32(UDPCR_ERRMSG_INFO) == error.ee_info);
  CHECK(told.u32(UDPCR_ERRMSG_DATA) == error.ee_data);
  sockaddr_storage offender{};
  std::memcpy(&offender, found->second.data() + sizeof error,
              std::min(sizeof offender, found->second.size() - sizeof error));
  if (error.ee_origin == SO_EE_ORIGIN_LOCAL) {
    CHECK_FALSE(told.has(UDPCR_ERRMSG_OFFENDER));
  } else {
    const Address who = Address::from_sockaddr(offender);
    const Bytes bytes = told.bytes(UDPCR_ERRMSG_OFFENDER);
    REQUIRE(bytes.size() == (who.family == AF_INET ? 4 : 16));
    CHECK(std::memcmp(bytes.data(), who.bytes, bytes.size()) == 0);
  }
}

std::vector<Message> await_errors(int fd, std::size_t count) {
  Talk talk;
  for (int i = 0; i < 500; ++i) {
    const Message record = talk.record(fd);
    if (record.has(UDPCR_A_ERROR_COUNT) && record.u32(UDPCR_A_ERROR_COUNT) >= count) break;
    ::usleep(5000);
  }
  return talk.queue(fd, UDPCR_QUEUE_ERROR);
}

}  // namespace

TEST_CASE("error queue: ICMP errors with their offender; nothing is consumed", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  set(fd.get(), v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_RECVERR : IP_RECVERR, 1);
  // From another machine, which answers that the port is closed.
  const Address to = address(v6 ? "fd00:9::2" : "10.9.0.2", 9);
  for (const char* payload : {"one", "two", ""}) {
    // The error of the one before is pending.
    (void)get(fd.get(), SOL_SOCKET, SO_ERROR);
    send_to(fd.get(), to, payload);
  }
  (void)await_errors(fd.get(), 3);
  const auto queue = await_errors(fd.get(), 3);
  REQUIRE(queue.size() == 3);
  CHECK(queue[0].nests(UDPCR_A_ERRMSG).at(0).u32(UDPCR_ERRMSG_ERRNO) == ECONNREFUSED);
  CHECK(queue[0].nests(UDPCR_A_ERRMSG).at(0).u8(UDPCR_ERRMSG_ORIGIN) ==
        (v6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP));
  CHECK(get(fd.get(), SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
  for (const Message& one : queue) compare(fd.get(), one);
}

TEST_CASE("error queue: a local error, too large for the path") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd fd = unbound(v6 ? AF_INET6 : AF_INET);
  set(fd.get(), v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_RECVERR : IP_RECVERR, 1);
  set(fd.get(), v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, IP_PMTUDISC_DO);
  CHECK_THROWS(
      send_to(fd.get(), address(v6 ? "fd00:9::2" : "10.9.0.2", 9), std::string(3000, 'x')));
  const auto queue = await_errors(fd.get(), 1);
  REQUIRE(queue.size() == 1);
  const Attrs told = queue[0].nests(UDPCR_A_ERRMSG).at(0);
  CHECK(told.u32(UDPCR_ERRMSG_ERRNO) == EMSGSIZE);
  CHECK(told.u8(UDPCR_ERRMSG_ORIGIN) == SO_EE_ORIGIN_LOCAL);
  CHECK(told.u32(UDPCR_ERRMSG_INFO) == 1500);  // the MTU
  compare(fd.get(), queue[0]);
}

TEST_CASE("error queue: IPv4 errors on an IPv6 socket") {
  const UniqueFd fd = unbound(AF_INET6);
  set(fd.get(), SOL_IPV6, IPV6_RECVERR, 1);
  set(fd.get(), SOL_IP, IP_RECVERR, 1);
  send_to(fd.get(), address("::ffff:10.9.0.2", 9), "mapped");
  const auto queue = await_errors(fd.get(), 1);
  REQUIRE(queue.size() == 1);
  const Attrs told = queue[0].nests(UDPCR_A_ERRMSG).at(0);
  CHECK(told.u8(UDPCR_ERRMSG_ORIGIN) == SO_EE_ORIGIN_ICMP);
  CHECK(queue[0].address(UDPCR_A_DST_ADDR, UDPCR_A_DST_PORT) == address("10.9.0.2", 9));
  Received seen;
  REQUIRE(receive(fd.get(), seen, MSG_ERRQUEUE));
  CHECK(seen.payload == text(queue[0].bytes(UDPCR_A_PAYLOAD)));
}

TEST_CASE("error queue: datagrams of the receive queue have no error") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_IP, IP_RECVERR, 1);
  const UniqueFd sender = unbound(AF_INET);
  send_to(sender.get(), local_of(fd.get()), "plain");
  send_to(fd.get(), address("127.0.0.1", free_port()), "refused");
  Talk talk;
  const auto queue = talk.queue(fd.get());
  REQUIRE(queue.size() == 1);
  CHECK_FALSE(queue[0].has(UDPCR_A_ERRMSG));
  CHECK(talk.queue(fd.get(), UDPCR_QUEUE_ERROR).size() == 1);
}
