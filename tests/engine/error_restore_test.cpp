// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What goes back through the module only: error queue, counters, whose choice a
// port was.
#include <linux/net_tstamp.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <thread>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

#define MODULE_TEST(name) TEST_CASE(name, "[.][module]")

// What MSG_ERRQUEUE gives: name, payload and every control message.
std::vector<std::string> read_errors(int fd) {
  std::vector<std::string> all;
  for (;;) {
    char room[2000];
    sockaddr_storage name{};
    iovec vector{room, sizeof room};
    alignas(cmsghdr) char control[1024];
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (got < 0) return all;
    std::string text(room, static_cast<std::size_t>(got));
    text.append(reinterpret_cast<const char*>(&name), message.msg_namelen);
    text.append(control, message.msg_controllen);
    all.push_back(text);
  }
}

void await_errors(int fd, std::uint32_t count) {
  const auto engine = make_engine(UseEngine::module);
  for (int i = 0; i < 2000; ++i) {
    if (engine->capture(fd, {Queues::none, 0}).record.error_count == count) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  FAIL("no error arrived within 2 s");
}

}  // namespace

MODULE_TEST("the error queue comes back, message by message") {
  const bool v6 = GENERATE(false, true);
  const std::string ip = v6 ? "::1" : "127.0.0.1";
  const std::uint16_t closed = free_port();
  UniqueFd fd = socket_at(address(ip));
  set(fd.get(), v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_RECVERR : IP_RECVERR, 1);
  connect_to(fd.get(), address(ip, closed));
  for (const char* payload : {"first", "second"}) {
    ::send(fd.get(), payload, std::strlen(payload), 0);
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  await_errors(fd.get(), 2);
  const auto engine = make_engine(UseEngine::module);
  const SocketState state = engine->capture(fd.get(), {});
  INFO(list(state.losses));
  CHECK(state.losses.empty());
  REQUIRE(state.error_queue.count() == 2);
  const auto before = read_errors(fd.get());
  REQUIRE(before.size() == 2);
  fd.reset();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(engine->capture(restored.fd.get(), {}).record.error == state.record.error);
  CHECK(read_errors(restored.fd.get()) == before);

  // The other engine cannot, and says so.
  const Restored less = make_engine(UseEngine::userspace)
                            ->restore(
                                [&] {
                                  SocketState other = state;
                                  other.record.local.port = free_port();
                                  return other;
                                }(),
                                {});
  CHECK(names(less.losses, "error queue"));
}

MODULE_TEST("the counter of transmit timestamps goes on") {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_TIMESTAMPING,
      SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |
          SOF_TIMESTAMPING_OPT_TSONLY);
  const Address to = local_of(fd.get());
  for (int i = 0; i < 3; ++i) send_to(fd.get(), to, "x");
  read_errors(fd.get());
  const auto engine = make_engine(UseEngine::module);
  const SocketState state = engine->capture(fd.get(), {});
  CHECK(state.record.tskey == 3);
  fd.reset();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  send_to(restored.fd.get(), to, "y");
  CHECK(engine->capture(restored.fd.get(), {}).record.tskey == 4);
}

MODULE_TEST("an automatic port is forgotten after connect(AF_UNSPEC), on every kernel") {
  const bool address_too = GENERATE(false, true);
  const bool connected = GENERATE(false, true);
  UniqueFd fd = unbound(AF_INET);
  if (address_too) bind_to(fd.get(), address("127.0.0.1"));
  if (connected) connect_to(fd.get(), address("127.0.0.1", 9));
  if (!address_too && !connected) send_to(fd.get(), address("127.0.0.1", 9), "x");
  const auto engine = make_engine(UseEngine::module);
  const SocketState state = engine->capture(fd.get(), {});
  const auto after = [](int socket) {
    sockaddr none{};
    none.sa_family = AF_UNSPEC;
    REQUIRE(::connect(socket, &none, sizeof none) == 0);
    return local_of(socket);
  };
  const Address wanted = after(fd.get());
  fd.reset();
  // A range that the port does not stand in: only the module can.
  REQUIRE(std::system("sysctl -qw net.ipv4.ip_local_port_range='20000 20100'") == 0);
  const Restored restored = engine->restore(state, {});
  REQUIRE(std::system("sysctl -qw net.ipv4.ip_local_port_range='32768 60999'") == 0);
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(local_of(restored.fd.get()) == state.record.local);
  CHECK(after(restored.fd.get()) == wanted);
}

TEST_CASE("a socket goes back to the user that it belonged to") {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  REQUIRE(::fchown(fd.get(), 65534, static_cast<gid_t>(-1)) == 0);
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {});
  CHECK(state.record.uid == 65534);
  fd.reset();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(engine->capture(restored.fd.get(), {}).record.uid == 65534);
}

TEST_CASE("another cgroup and another security label are named") {
  SocketState state = state_of(address("127.0.0.1", free_port()), {});
  state.record.cgroup = 0x7fffffff;
  state.record.label = "system_u:object_r:named_t:s0";
  const Restored restored = engine_under_test()->restore(state, {});
  INFO(list(restored.losses));
  CHECK(names(restored.losses, "cgroup"));
  CHECK(names(restored.losses, "security label"));
}
