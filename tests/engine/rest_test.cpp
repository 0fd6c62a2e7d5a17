// SPDX-License-Identifier: LGPL-2.1-or-later
#include <linux/filter.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "support.hpp"
#include "userspace_reader.hpp"

using namespace udpcr;
using namespace udpcr::test;

TEST_CASE("take_rest under a sender: capture and rest are all that was accepted") {
  const auto engine = engine_under_test();
  const bool locked = GENERATE(false, true);
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const Address to = local_of(fd.get());
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
  if (locked) {
    sock_filter all = BPF_STMT(BPF_RET | BPF_K, 0xffff);
    const sock_fprog program{1, &all};
    REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0);
    set(fd.get(), SOL_SOCKET, SO_LOCK_FILTER, 1);
  }
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    const UniqueFd from = unbound(AF_INET);
    for (int i = 0; !stop && i < 200000; ++i) {
      send_to(from.get(), to, i % 50 == 7 ? "" : std::to_string(i));
      if (i % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  });
  // A busy machine starts the thread late.
  wait_for_queue(fd.get());
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const SocketState state = engine->capture(fd.get(), {});
  wait_for_queue(fd.get(), queue_memory(fd.get()).rmem);
  const MessageStream rest =
      engine->take_rest(fd.get(), state.receive_queue.count(), QueueEnd::refuses);
  stop = true;
  sender.join();
  CHECK_FALSE(state.receive_queue.empty());
  CHECK_FALSE(rest.empty());
  auto all = decode_all(state.receive_queue);
  for (Datagram& one : decode_all(rest)) all.push_back(std::move(one));
  for (std::size_t i = 0; i < all.size(); ++i) {
    REQUIRE(text(all[i].payload) == (i % 50 == 7 ? "" : std::to_string(i)));
  }
  CHECK(read_all(fd.get()).empty());
}
