// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What bounds the lists held aside: EDQUOT and ENOBUFS.
#include <netinet/udp.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

Answer add(Talk& talk, std::uint32_t handle, std::size_t size) {
  return talk.ask(Request(UDPCR_CMD_DATAGRAM)
                      .u32(UDPCR_A_HANDLE, handle)
                      .bytes(UDPCR_A_PAYLOAD, Bytes(size, 'b')));
}

constexpr const char* kMaxHeld = "/sys/module/udpcr/parameters/max_held";
constexpr const char* kMaxRead = "/sys/module/udpcr/parameters/max_read";

// More than one buffer of a dump.
UniqueFd full_socket() {
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  for (int i = 0; i < 10; ++i) send_to(sender.get(), local_of(fd.get()), std::string(5000, 'r'));
  return fd;
}

Request read_of(int fd) { return Request(UDPCR_CMD_QUEUE).socket(fd); }

}  // namespace

TEST_CASE("bounds: a user's most lists: EDQUOT", "[smoke]") {
  const Setting few(kMaxHeld, "5");
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  Talk other;  // the same user's
  for (std::uint32_t i = 1; i <= 5; ++i) (i % 2 == 0 ? talk : other).stage(fd.get(), i);
  for (const std::uint8_t command : {UDPCR_CMD_TAKE, UDPCR_CMD_STAGE}) {
    CHECK(unlike(talk.ask(Request(command).socket(fd.get()).u32(UDPCR_A_HANDLE, 6)), EDQUOT,
                 {"user 0", "5", "max_held"}) == "");
  }
  // Another user has his own.
  CHECK(in_child([] {
          become_user(1000);
          const UniqueFd own = socket_at(address("127.0.0.1"));
          Talk mine;
          for (std::uint32_t i = 1; i <= 5; ++i) mine.stage(own.get(), i);
          demand_like(mine.ask(Request(UDPCR_CMD_STAGE).socket(own.get()).u32(UDPCR_A_HANDLE, 6)),
                      EDQUOT, {"user 1000", "5"});
        }) == "");
  // One that ends makes room, however it ends.
  talk.drop(2);
  talk.stage(fd.get(), 6);
  talk.put(6, UDPCR_POSITION_FRONT);
  talk.stage(fd.get(), 7);
  other.close();
  for (std::uint32_t i = 8; i <= 10; ++i) talk.stage(fd.get(), i);
  CHECK(talk.ask(Request(UDPCR_CMD_STAGE).socket(fd.get()).u32(UDPCR_A_HANDLE, 11)).error ==
        EDQUOT);
}

TEST_CASE("bounds: none at all") {
  const Setting none(kMaxHeld, "0");
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  for (int i = 0; i < 3; ++i) {
    CHECK(unlike(talk.ask(Request(UDPCR_CMD_STAGE).socket(fd.get()).u32(UDPCR_A_HANDLE, 1)), EDQUOT,
                 {"max_held"}) == "");
  }
}

TEST_CASE("bounds: the most bytes that a user reads at once: EDQUOT", "[smoke]") {
  const Setting few(kMaxRead, "100000");
  CHECK(in_child([] {
          become_user(1000);
          const UniqueFd fd = full_socket();
          const UniqueFd other_fd = full_socket();
          Talk first;
          Talk second;
          // One of any size; the rest of it is not asked for yet.
          first.begin_dump(read_of(fd.get()));
          demand_like(second.dump(read_of(other_fd.get())), EDQUOT, {"user 1000", "max_read"});
          second.take(other_fd.get(), 1);
          demand_like(second.dump(Request(UDPCR_CMD_QUEUE).u32(UDPCR_A_HANDLE, 1)), EDQUOT,
                      {"user 1000", "max_read"});
          second.put(1, UDPCR_POSITION_FRONT);
          // Read to its end it makes room.
          demand(first.collect().messages.size() == 10, "the first dump is not whole");
          demand(second.dump(read_of(other_fd.get())).messages.size() == 10,
                 "the second dump is not whole");
        }) == "");
  // CAP_NET_ADMIN may read any number.
  const UniqueFd fd = full_socket();
  Talk first;
  Talk second;
  Talk third;
  first.begin_dump(read_of(fd.get()));
  second.begin_dump(read_of(fd.get()));
  CHECK(third.dump(read_of(fd.get())).messages.size() == 10);
}

TEST_CASE("bounds: a corked datagram counts among the bytes that a user reads: EDQUOT") {
  const Setting few(kMaxRead, "100000");
  CHECK(in_child([] {
          become_user(1000);
          const UniqueFd sink = socket_at(address("127.0.0.1"));
          const UniqueFd fd = unbound(AF_INET);
          set(fd.get(), SOL_UDP, UDP_CORK, 1);
          send_to(fd.get(), local_of(sink.get()), std::string(60000, 'c'));
          const Request cork = read_of(fd.get()).u32(UDPCR_A_QUEUE, UDPCR_QUEUE_SEND);
          Talk first;
          Talk second;
          first.begin_dump(cork);
          demand_like(second.dump(cork), EDQUOT, {"user 1000", "max_read"});
          demand(first.collect().messages.size() == 1, "the first dump is not whole");
          demand(second.dump(cork).messages.size() == 1, "the second dump is not whole");
        }) == "");
}

TEST_CASE("bounds: a refused TAKE leaves the queue as it was") {
  const Setting none(kMaxHeld, "0");
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  send_to(sender.get(), local_of(fd.get()), "stays");
  Talk talk;
  CHECK(talk.ask(Request(UDPCR_CMD_TAKE).socket(fd.get()).u32(UDPCR_A_HANDLE, 1)).error == EDQUOT);
  CHECK(texts(receive_all(fd.get())) == std::vector<std::string>{"stays"});
  CHECK(charged(fd.get()) == 0);
}

TEST_CASE("bounds: twice SO_RCVBUF: ENOBUFS", "[smoke]") {
  const std::size_t size = GENERATE(std::size_t{10}, std::size_t{1400}, std::size_t{60000});
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUF, 50000);
  const int most = 2 * get(fd.get(), SOL_SOCKET, SO_RCVBUF);
  Talk talk;
  talk.stage(fd.get(), 1);
  Answer answer;
  std::size_t added = 0;
  while ((answer = add(talk, 1, size)).error == 0) REQUIRE(++added < 10000);
  CHECK(unlike(answer, ENOBUFS, {"SO_RCVBUF", std::to_string(most)}) == "");
  CHECK(static_cast<int>(charged(fd.get())) > most / 2);
  // One may pass it, not two.
  CHECK(static_cast<int>(charged(fd.get())) < most + 70000 + 70000 / 2);
  // What is in the receive queue counts too, and what the list gives back.
  talk.put(1, UDPCR_POSITION_FRONT);
  talk.stage(fd.get(), 2);
  CHECK(add(talk, 2, size).error == ENOBUFS);
  CHECK(receive_all(fd.get()).size() == added);
  CHECK(add(talk, 2, size).error == 0);
  talk.drop(2);
  CHECK(charged(fd.get()) == 0);
}

TEST_CASE(
    "bounds: the memory for all UDP sockets: ENOBUFS; what was taken comes back all the same") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd victim = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
  for (int i = 0; i < 20; ++i) send_to(sender.get(), local_of(victim.get()), std::to_string(i));
  Talk talk;
  talk.take(victim.get(), 1);
  talk.stage(fd.get(), 2);
  // A setting of the whole machine.
  std::string before;
  {
    const In initial(Net::initial);
    before = file_text("/proc/sys/net/ipv4/udp_mem");
    demand(write_file("/proc/sys/net/ipv4/udp_mem", "1 1 1"), "udp_mem");
  }
  Answer answer;
  std::size_t added = 0;
  // Each processor keeps up to 1 MiB for itself (include/net/sock.h,
  // SK_MEMORY_PCPU_RESERVE), so that the limit is not felt at once.
  while (added < 500 && (answer = add(talk, 2, 60000)).error == 0) ++added;
  const Answer put =
      talk.ask(Request(UDPCR_CMD_PUT).u32(UDPCR_A_HANDLE, 1).u32(UDPCR_A_POSITION, 0));
  {
    const In initial(Net::initial);
    demand(write_file("/proc/sys/net/ipv4/udp_mem", before), "udp_mem");
  }
  CHECK(unlike(answer, ENOBUFS, {"udp_mem"}) == "");
  CHECK(put.error == 0);
  CHECK(receive_all(victim.get()).size() == 20);
  talk.put(2, UDPCR_POSITION_FRONT);
  CHECK(receive_all(fd.get()).size() == added);
  CHECK(charged(fd.get()) == 0);
}
