// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Readers notice a PUT by every means by which they notice an arrival.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "receive.hpp"
#include "support.hpp"
#include "talk.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

void stage(Talk& talk, int fd, const std::vector<std::string>& payloads, std::uint32_t handle = 1) {
  talk.stage(fd, handle);
  for (const std::string& one : payloads) {
    Attrs datagram;
    datagram.all.push_back({UDPCR_A_PAYLOAD, bytes(one)});
    talk.add(handle, datagram);
  }
}

UniqueFd epoll_of(int fd, std::uint32_t events) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = events;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    throw std::runtime_error("epoll_ctl");
  return epoll;
}

int waiting(int epoll) {
  epoll_event event{};
  return ::epoll_wait(epoll, &event, 1, 0);
}

}  // namespace

TEST_CASE("wake: epoll, level and edge triggered; select and poll", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd level = epoll_of(fd.get(), EPOLLIN);
  const UniqueFd edge = epoll_of(fd.get(), EPOLLIN | EPOLLET);
  Talk talk;
  stage(talk, fd.get(), {"a", "b"});
  CHECK(waiting(level.get()) == 0);
  CHECK(waiting(edge.get()) == 0);
  talk.put(1, UDPCR_POSITION_FRONT);
  CHECK(waiting(level.get()) == 1);
  CHECK(waiting(level.get()) == 1);
  CHECK(waiting(edge.get()) == 1);
  CHECK(waiting(edge.get()) == 0);
  pollfd polled{fd.get(), POLLIN, 0};
  CHECK(::poll(&polled, 1, 0) == 1);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fd.get(), &set);
  timeval none{};
  CHECK(::select(fd.get() + 1, &set, nullptr, nullptr, &none) == 1);
  // Another PUT is another edge, though the queue was not empty.
  stage(talk, fd.get(), {"c"});
  talk.put(1, UDPCR_POSITION_FRONT);
  CHECK(waiting(edge.get()) == 1);
  // Taken away, there is nothing to wait for.
  talk.take(fd.get(), 2);
  CHECK(waiting(level.get()) == 0);
  CHECK(::poll(&polled, 1, 0) == 0);
  talk.put(2, UDPCR_POSITION_FRONT);
  CHECK(waiting(edge.get()) == 1);
  CHECK(waiting(level.get()) == 1);
  CHECK(texts(receive_all(fd.get())) == std::vector<std::string>{"c", "a", "b"});
  CHECK(waiting(level.get()) == 0);
}

TEST_CASE("wake: blocked readers, as many as there are datagrams", "[smoke]") {
  const int mode = GENERATE(0, 1, 2);  // recv, poll, epoll_wait
  CAPTURE(mode);
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  // So that a reader that is not woken fails this test instead of hanging.
  const timeval patience{20, 0};
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
  const UniqueFd epoll = epoll_of(fd.get(), EPOLLIN | EPOLLET);
  std::vector<std::thread> readers;
  std::vector<std::string> got(mode == 0 ? 3 : 1);
  for (std::string& mine : got) {
    readers.emplace_back([&] {
      if (mode == 1) {
        pollfd polled{fd.get(), POLLIN, 0};
        ::poll(&polled, 1, 20000);
      } else if (mode == 2) {
        epoll_event event{};
        ::epoll_wait(epoll.get(), &event, 1, 20000);
      }
      char room[64];
      const ssize_t size = ::recv(fd.get(), room, sizeof room, mode == 0 ? 0 : MSG_DONTWAIT);
      mine = size < 0 ? "nothing" : std::string(room, static_cast<std::size_t>(size));
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  Talk talk;
  std::vector<std::string> payloads;
  for (std::size_t i = 0; i < got.size(); ++i) payloads.push_back(std::to_string(i));
  stage(talk, fd.get(), payloads);
  const auto before = std::chrono::steady_clock::now();
  talk.put(1, UDPCR_POSITION_FRONT);
  for (std::thread& one : readers) one.join();
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(10));
  std::sort(got.begin(), got.end());
  CHECK(got == payloads);
}

TEST_CASE("wake: a signal for O_ASYNC") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  sigset_t set;
  sigset_t old;
  sigemptyset(&set);
  sigaddset(&set, SIGIO);
  REQUIRE(::sigprocmask(SIG_BLOCK, &set, &old) == 0);
  REQUIRE(::fcntl(fd.get(), F_SETOWN, ::getpid()) == 0);
  REQUIRE(::fcntl(fd.get(), F_SETFL, O_ASYNC) == 0);
  Talk talk;
  stage(talk, fd.get(), {"a"});
  talk.put(1, UDPCR_POSITION_FRONT);
  const timespec patience{5, 0};
  CHECK(::sigtimedwait(&set, nullptr, &patience) == SIGIO);
  ::sigprocmask(SIG_SETMASK, &old, nullptr);
}

TEST_CASE("wake: FIONREAD, MSG_PEEK and SO_PEEK_OFF see what was put", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  stage(talk, fd.get(), {"first one", "second"});
  CHECK(next_length(fd.get()) == 0);
  talk.put(1, UDPCR_POSITION_FRONT);
  CHECK(next_length(fd.get()) == 9);
  Received seen;
  for (int i = 0; i < 2; ++i) {
    REQUIRE(receive(fd.get(), seen, MSG_PEEK));
    CHECK(seen.payload == "first one");
  }
  set(fd.get(), SOL_SOCKET, SO_PEEK_OFF, 6);
  char room[64];
  CHECK(std::string(room, static_cast<std::size_t>(
                              ::recv(fd.get(), room, sizeof room, MSG_PEEK))) == "one");
  CHECK(std::string(room, static_cast<std::size_t>(
                              ::recv(fd.get(), room, sizeof room, MSG_PEEK))) == "second");
  set(fd.get(), SOL_SOCKET, SO_PEEK_OFF, -1);
  // A queue that was peeked at can be taken, and is the same afterwards.
  talk.take(fd.get(), 2);
  CHECK_FALSE(receive(fd.get(), seen, MSG_PEEK));
  talk.put(2, UDPCR_POSITION_FRONT);
  // MSG_TRUNC tells the true length.
  CHECK(::recv(fd.get(), room, 1, MSG_PEEK | MSG_TRUNC) == 9);
  CHECK(texts(receive_all(fd.get())) == std::vector<std::string>{"first one", "second"});
}

TEST_CASE("wake: recvmmsg takes several that were put at once") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  stage(talk, fd.get(), {"1", "22", "", "4444"});
  talk.put(1, UDPCR_POSITION_BEHIND);
  char rooms[8][16];
  iovec vectors[8];
  mmsghdr messages[8] = {};
  for (int i = 0; i < 8; ++i) {
    vectors[i] = {rooms[i], sizeof rooms[i]};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  REQUIRE(::recvmmsg(fd.get(), messages, 8, MSG_DONTWAIT, nullptr) == 4);
  CHECK(messages[0].msg_len == 1);
  CHECK(messages[1].msg_len == 2);
  CHECK(messages[2].msg_len == 0);
  CHECK(messages[3].msg_len == 4);
}
