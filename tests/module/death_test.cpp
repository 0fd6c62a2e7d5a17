// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who holds lists aside ends in the middle.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <string>

#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// Runs `body` in a child, which then waits; kill -9 it when it is that far.
void killed_after(const std::function<void()>& body) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      body();
      (void)!::write(ends[1], "k", 1);
      for (;;) ::pause();
    } catch (const std::exception& error) {
      (void)!::write(ends[1], error.what(), std::char_traits<char>::length(error.what()));
    }
    ::_exit(1);
  }
  ::close(ends[1]);
  char said[256] = {};
  (void)!::read(ends[0], said, sizeof said - 1);
  ::close(ends[0]);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  REQUIRE(std::string(said) == "k");
}

}  // namespace

TEST_CASE("death: kill -9 puts what was taken back in front, and drops what was staged",
          "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  for (int i = 0; i < 10; ++i) send_to(sender.get(), local_of(fd.get()), std::to_string(i));
  const std::uint32_t charge = charged(fd.get());
  killed_after([&] {
    Talk talk;
    talk.take(fd.get(), 1);
    talk.stage(fd.get(), 2);
    Attrs datagram;
    datagram.all.push_back({UDPCR_A_PAYLOAD, bytes("staged")});
    talk.add(2, datagram);
    send_to(sender.get(), local_of(fd.get()), "10");
  });
  await_count(fd.get(), 11);
  CHECK(charged(fd.get()) > charge);
  CHECK_FALSE(Talk().record(fd.get()).has(UDPCR_A_HELD_COUNT));
  std::vector<std::string> wanted;
  for (int i = 0; i <= 10; ++i) wanted.push_back(std::to_string(i));
  CHECK(texts(receive_all(fd.get())) == wanted);
  CHECK(charged(fd.get()) == 0);
}

TEST_CASE("death: a waiting reader is woken by what comes back") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  send_to(sender.get(), local_of(fd.get()), "comes back");
  killed_after([&] {
    Talk talk;
    talk.take(fd.get(), 1);
  });
  pollfd waiting{fd.get(), POLLIN, 0};
  CHECK(::poll(&waiting, 1, 5000) == 1);
  CHECK(texts(receive_all(fd.get())) == std::vector<std::string>{"comes back"});
}

TEST_CASE("death: the socket's program dies while its queue is held aside") {
  std::uint64_t inode = 0;
  Talk talk;
  {
    const Holder holder([] {
      UniqueFd fd = socket_at(address("127.0.0.1"));
      send_to(unbound(AF_INET).get(), local_of(fd.get()), "outlives its socket");
      return fd;
    });
    inode = holder.inode();
    talk.must(Request(UDPCR_CMD_TAKE).u64(UDPCR_A_INO, inode).u32(UDPCR_A_HANDLE, 1));
  }
  const auto held = talk.held(1);
  REQUIRE(held.size() == 1);
  CHECK(text(held[0].bytes(UDPCR_A_PAYLOAD)) == "outlives its socket");
  // Closed for everybody else; what was held moves to another socket.
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SOCKET).u64(UDPCR_A_INO, inode)), ENOENT) == "");
  const UniqueFd next = socket_at(address("127.0.0.1"));
  talk.stage(next.get(), 2);
  talk.add(2, held[0]);
  talk.put(2, UDPCR_POSITION_FRONT);
  CHECK(texts(receive_all(next.get())) == std::vector<std::string>{"outlives its socket"});
  talk.drop(1);
}

TEST_CASE("death: 1,000 lists at once") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
  const UniqueFd sender = unbound(AF_INET);
  {
    Talk talk;
    for (std::uint32_t i = 1; i <= 1000; ++i) {
      send_to(sender.get(), local_of(fd.get()), std::to_string(i));
      talk.take(fd.get(), i);
    }
    CHECK(talk.record(fd.get()).u32(UDPCR_A_HELD_COUNT) == 1000);
  }
  await_count(fd.get(), 1000);
  CHECK(receive_all(fd.get()).size() == 1000);
  CHECK(charged(fd.get()) == 0);
}
