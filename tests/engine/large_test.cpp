// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Size and time.  The bounds are wide: they catch a wrong order of growth, not
// a slow machine.
#include <sys/resource.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <iostream>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

}  // namespace

TEST_CASE("queues of up to 10,000 datagrams") {
  const int count = GENERATE(1000, 10000);
  const auto engine = engine_under_test();
  const UniqueFd sender = unbound(AF_INET);
  UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
  for (int i = 0; i < count; ++i) {
    send_to(sender.get(), local_of(fd.get()), std::string(100, ' ') + std::to_string(i));
  }
  auto start = Clock::now();
  const SocketState state = engine->capture(fd.get(), {});
  const double captured = since(start);
  REQUIRE(state.receive_queue.count() == static_cast<std::size_t>(count));
  fd.reset();
  start = Clock::now();
  const Restored restored = engine->restore(state, {});
  const double filled = since(start);
  INFO(list(restored.losses));
  CHECK(restored.datagrams == static_cast<std::size_t>(count));
  CHECK(restored.losses.empty());
  const auto seen = read_all(restored.fd.get());
  REQUIRE(seen.size() == static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    REQUIRE(seen[static_cast<std::size_t>(i)].payload == std::string(100, ' ') + std::to_string(i));
  }
  std::cout << count << " datagrams: capture " << captured << " ms, restore " << filled << " ms\n";
}

TEST_CASE("1,000 sockets") {
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  const int queued = GENERATE(0, 20);
  const auto engine = engine_under_test();
  const UniqueFd sender = unbound(AF_INET);
  std::vector<UniqueFd> sockets;
  for (int i = 0; i < 1000; ++i) {
    sockets.push_back(socket_at(address("127.0.0.1")));
    for (int n = 0; n < queued; ++n) send_to(sender.get(), local_of(sockets.back().get()), "hello");
  }
  std::vector<SocketState> states;
  auto start = Clock::now();
  for (const UniqueFd& fd : sockets) states.push_back(engine->capture(fd.get(), {}));
  const double captured = since(start);
  sockets.clear();
  std::vector<Restored> restored;
  start = Clock::now();
  for (const SocketState& state : states) restored.push_back(engine->restore(state, {}));
  const double filled = since(start);
  std::cout << "1000 sockets of " << queued << " datagrams: capture " << captured << " ms, restore "
            << filled << " ms\n";
  for (const Restored& one : restored) {
    CHECK(one.datagrams == static_cast<std::size_t>(queued));
    CHECK(one.losses.empty());
  }
}
