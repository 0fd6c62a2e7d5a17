// SPDX-License-Identifier: LGPL-2.1-or-later
//
// No charge is left behind, whatever becomes of lists and sockets.
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <sstream>

#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// rx_queue of /proc/net/udp.
long listed_queue(int fd) {
  std::istringstream table(file_text("/proc/self/net/udp"));
  char port[16];
  std::snprintf(port, sizeof port, ":%04X ", local_of(fd).port);
  for (std::string line; std::getline(table, line);) {
    if (line.find(port) == std::string::npos) continue;
    unsigned tx = 0;
    unsigned rx = 0;
    if (std::sscanf(line.c_str(), " %*d: %*[0-9A-F:] %*[0-9A-F:] %*x %x:%x", &tx, &rx) == 2)
      return rx;
  }
  throw std::runtime_error("the socket is not in /proc/net/udp");
}

int waiting_bytes(int fd) {
  int bytes = -1;
  if (::ioctl(fd, SIOCINQ, &bytes) != 0) throw std::runtime_error("SIOCINQ");
  return bytes;
}

// What each processor may keep for itself (include/net/sock.h,
// SK_MEMORY_PCPU_RESERVE: 1 MiB), both processors, both ways.
constexpr std::uint32_t kSlack = 4 * 256;

UniqueFd roomy() {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20);
  return fd;
}

void fill(int fd, int count = 100) {
  const UniqueFd sender = unbound(AF_INET);
  const std::string payload(10000, 'm');
  for (int i = 0; i < count; ++i) send_to(sender.get(), local_of(fd), payload);
}

void stage_some(Talk& talk, int fd, std::uint32_t handle, int count = 100) {
  talk.stage(fd, handle);
  Attrs datagram;
  datagram.all.push_back({UDPCR_A_PAYLOAD, Bytes(10000, 's')});
  for (int i = 0; i < count; ++i) talk.add(handle, datagram);
}

}  // namespace

TEST_CASE("memory: each way by which a list ends gives all of it back", "[smoke]") {
  const UniqueFd fd = roomy();
  const auto empty = [&] {
    CHECK(charged(fd.get()) == 0);
    CHECK(listed_queue(fd.get()) == 0);
    CHECK(waiting_bytes(fd.get()) == 0);
  };
  empty();
  Talk talk;
  fill(fd.get());
  CHECK(listed_queue(fd.get()) == charged(fd.get()));
  CHECK(waiting_bytes(fd.get()) == 10000);
  SECTION("taken and dropped") {
    talk.take(fd.get(), 1);
    CHECK(listed_queue(fd.get()) == charged(fd.get()));
    talk.drop(1);
  }
  SECTION("taken, put and read") {
    talk.take(fd.get(), 1);
    talk.put(1, UDPCR_POSITION_FRONT);
    CHECK(waiting_bytes(fd.get()) == 10000);
    CHECK(receive_all(fd.get()).size() == 100);
  }
  SECTION("staged and dropped, the rest read") {
    stage_some(talk, fd.get(), 1);
    talk.drop(1);
    CHECK(receive_all(fd.get()).size() == 100);
  }
  SECTION("staged, put behind and read") {
    stage_some(talk, fd.get(), 1);
    talk.put(1, UDPCR_POSITION_BEHIND);
    CHECK(receive_all(fd.get()).size() == 200);
  }
  SECTION("staged, and the netlink socket closed") {
    stage_some(talk, fd.get(), 1);
    talk.close();
    CHECK(receive_all(fd.get()).size() == 100);
  }
  SECTION("taken, and the netlink socket closed") {
    talk.take(fd.get(), 1);
    talk.close();
    CHECK(receive_all(fd.get()).size() == 100);
  }
  empty();
}

TEST_CASE("memory: nothing is left in the machine's account, 100 MB later") {
  // Were a charge left behind, each round would leave it, and a WARN of
  // inet_sock_destruct() would fail the run.
  const std::uint32_t before = udp_pages();
  const int way = GENERATE(0, 1, 2, 3, 4, 5, 6);
  CAPTURE(way);
  for (int round = 0; round < 50; ++round) {
    UniqueFd fd = roomy();
    Talk talk;
    fill(fd.get());
    stage_some(talk, fd.get(), 2);
    switch (way) {
      case 0:  // closed with all in its queue
        talk.put(2, UDPCR_POSITION_FRONT);
        fd.reset();
        break;
      case 1:  // closed while its queue is held aside, which is put then
        talk.take(fd.get(), 1);
        fd.reset();
        talk.put(1, UDPCR_POSITION_FRONT);
        talk.put(2, UDPCR_POSITION_BEHIND);
        break;
      case 2:  // ... dropped then
        talk.take(fd.get(), 1);
        fd.reset();
        talk.drop(1);
        talk.drop(2);
        break;
      case 3:  // ... and the netlink socket closed last
        talk.take(fd.get(), 1);
        fd.reset();
        talk.close();
        break;
      case 4:  // ... and first
        talk.take(fd.get(), 1);
        talk.close();
        fd.reset();
        break;
      case 5:  // some of it read
        talk.take(fd.get(), 1);
        talk.put(1, UDPCR_POSITION_FRONT);
        for (int i = 0; i < 30; ++i) {
          Received one;
          REQUIRE(receive(fd.get(), one));
        }
        talk.take(fd.get(), 3);
        fd.reset();
        talk.drop(3);
        talk.drop(2);
        break;
      default:  // a dump under way when all ends
        talk.take(fd.get(), 1);
        talk.begin_dump(Request(UDPCR_CMD_QUEUE).u32(UDPCR_A_HANDLE, 1));
        fd.reset();
        talk.close();
        break;
    }
  }
  CHECK(udp_pages() <= before + kSlack);
}

TEST_CASE("memory: a closed socket's list can be read until it ends") {
  UniqueFd fd = roomy();
  Talk talk;
  fill(fd.get(), 10);
  talk.take(fd.get(), 1);
  fd.reset();
  CHECK(talk.held(1).size() == 10);
  talk.drop(1);
}
