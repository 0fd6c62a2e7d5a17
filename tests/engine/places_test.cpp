// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The restore does not disturb what goes on beside it.
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

TEST_CASE("live traffic to the port does not mix with what is put back") {
  const auto engine = engine_under_test();
  const std::uint16_t port = free_port();
  std::vector<Datagram> queue;
  for (int i = 0; i < 2000; ++i) {
    queue.push_back(
        datagram(address("198.51.100.1", 5), address("127.0.0.1"), "old " + std::to_string(i)));
  }
  std::atomic<bool> stop{false};
  std::thread traffic([&] {
    const UniqueFd from = unbound(AF_INET);
    const UniqueFd everywhere = unbound(AF_INET);
    for (unsigned i = 0; !stop; ++i) {
      send_to(from.get(), address("127.0.0.1", port), "new");
      // A stranger who tries the private ports.
      send_to(everywhere.get(), address("127.0.0.1", static_cast<std::uint16_t>(32768 + i % 28232)),
              "stranger");
    }
  });
  const Restored restored = engine->restore(state_of(address("127.0.0.1", port), queue), {});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  stop = true;
  traffic.join();
  INFO(list(restored.losses));
  CHECK(restored.datagrams == queue.size());
  const auto seen = read_all(restored.fd.get());
  REQUIRE(seen.size() >= queue.size());
  for (std::size_t i = 0; i < queue.size(); ++i) {
    REQUIRE(seen[i].payload == "old " + std::to_string(i));
  }
  for (std::size_t i = queue.size(); i < seen.size(); ++i) REQUIRE(seen[i].payload != "stranger");
}

TEST_CASE("a wildcard listener and a packet on the wire see nothing of a restore") {
  const auto engine = engine_under_test();
  const std::uint16_t port = free_port();
  const UniqueFd wire(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(wire);
  const UniqueFd listener = unbound(AF_INET);
  set(listener.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  bind_to(listener.get(), address("0.0.0.0", port));
  SocketState state = state_of(address("127.0.0.1", port),
                               {datagram(address("198.51.100.1", 5), address("224.0.0.251"), "m"),
                                datagram(address("198.51.100.1", 5), address("127.0.0.1"), "u")});
  state.record.options.push_back({SOL_SOCKET, SO_REUSEADDR, Bytes{1, 0, 0, 0}});
  const Restored restored = engine->restore(state, {});
  CHECK(restored.datagrams == 2);
  CHECK(read_all(listener.get()).empty());
  CHECK(read_all(restored.fd.get()).size() == 2);
}
