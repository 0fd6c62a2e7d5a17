// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What SET changes besides drops and error (record_test.cpp): the counter of
// timestamps, and which part of the address counts as given to bind.
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
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

constexpr std::uint32_t kBoth = UDPCR_SOCK_BOUND_ADDR | UDPCR_SOCK_BOUND_PORT;

Answer change(int fd, std::uint16_t type, std::uint32_t value) {
  return Talk().ask(Request(UDPCR_CMD_SET).socket(fd).u32(type, value));
}

std::uint32_t bound(int fd) { return Talk().record(fd).u32(UDPCR_A_SOCK_FLAGS) & kBoth; }

void disconnect(int fd) {
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  REQUIRE(::connect(fd, &nobody, sizeof nobody) == 0);
}

}  // namespace

TEST_CASE("set: the counter of transmit timestamps", "[smoke]") {
  const UniqueFd fd = unbound(AF_INET);
  const UniqueFd sink = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_IP, IP_RECVERR, 1);
  set(fd.get(), SOL_SOCKET, SO_TIMESTAMPING,
      SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |
          SOF_TIMESTAMPING_OPT_TSONLY);
  CHECK_FALSE(Talk().record(fd.get()).has(UDPCR_A_TSKEY));
  send_to(fd.get(), local_of(sink.get()), "0");
  send_to(fd.get(), local_of(sink.get()), "1");
  CHECK(Talk().record(fd.get()).u32(UDPCR_A_TSKEY) == 2);
  CHECK(receive_all(fd.get(), MSG_ERRQUEUE).size() == 2);
  REQUIRE(change(fd.get(), UDPCR_A_TSKEY, 0xffffffff).error == 0);
  send_to(fd.get(), local_of(sink.get()), "the last");
  Received seen;
  REQUIRE(receive(fd.get(), seen, MSG_ERRQUEUE));
  sock_extended_err error{};
  std::memcpy(&error, seen.ancillary.at("0/11").data(), sizeof error);
  CHECK(error.ee_data == 0xffffffff);
  CHECK_FALSE(Talk().record(fd.get()).has(UDPCR_A_TSKEY));
}

TEST_CASE("set: a port that was bound to becomes an automatic one", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd fd = socket_at(address(v6 ? "::1" : "127.0.0.1", free_port()));
  CHECK(bound(fd.get()) == kBoth);
  const std::uint32_t stays = GENERATE(0U, UDPCR_SOCK_BOUND_ADDR, UDPCR_SOCK_BOUND_PORT, kBoth);
  const std::uint16_t port = local_of(fd.get()).port;
  REQUIRE(change(fd.get(), UDPCR_A_SOCK_FLAGS, stays).error == 0);
  CHECK(bound(fd.get()) == stays);
  CHECK(local_of(fd.get()).port == port);
  connect_to(fd.get(), address(v6 ? "::1" : "127.0.0.1", 9));
  disconnect(fd.get());
  CHECK(local_of(fd.get()).is_wildcard() == ((stays & UDPCR_SOCK_BOUND_ADDR) == 0));
  CHECK(local_of(fd.get()).port == ((stays & UDPCR_SOCK_BOUND_PORT) != 0 ? port : 0));
}

TEST_CASE("set: what was not bound cannot be made so, and then nothing is set", "[smoke]") {
  const UniqueFd fd = unbound(AF_INET);
  for (const std::uint32_t flag : {UDPCR_SOCK_BOUND_ADDR, UDPCR_SOCK_BOUND_PORT}) {
    CHECK(unlike(change(fd.get(), UDPCR_A_SOCK_FLAGS, flag), EINVAL, {"UDPCR_SOCK_BOUND_"}) == "");
  }
  CHECK(unlike(Talk().ask(Request(UDPCR_CMD_SET)
                              .socket(fd.get())
                              .u32(UDPCR_A_SOCK_FLAGS, UDPCR_SOCK_BOUND_PORT)
                              .u32(UDPCR_A_DROPS, 5)),
               EINVAL) == "");
  CHECK(dropped(fd.get()) == 0);
  CHECK(bound(fd.get()) == 0);
  // The other flags are none of SET's.
  CHECK(unlike(change(fd.get(), UDPCR_A_SOCK_FLAGS, UDPCR_SOCK_CONNECTED), EINVAL) == "");
  CHECK(change(fd.get(), UDPCR_A_SOCK_FLAGS, 0).error == 0);
}
