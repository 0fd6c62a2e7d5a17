// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <udpcr/udpcr_netlink.h>

#include <catch2/catch.hpp>

#include "options.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// Every option of the table, as it is now.
std::vector<std::optional<Bytes>> all_options(int fd) {
  std::vector<std::optional<Bytes>> all;
  for (const OptionRow& row : option_table()) all.push_back(read_option(fd, row.level, row.name));
  return all;
}

}  // namespace

TEST_CASE("capture tells what the socket is") {
  const auto engine = engine_under_test();
  const UniqueFd fd = socket_at(address("10.9.0.1"), SOCK_NONBLOCK);
  connect_to(fd.get(), address("10.9.0.77", 4242));
  const SocketState state = engine->capture(fd.get(), {});
  struct stat status {};
  REQUIRE(::fstat(fd.get(), &status) == 0);
  CHECK(state.record.inode == status.st_ino);
  CHECK(state.record.cookie != 0);
  CHECK(state.record.uid == 0);
  CHECK(state.record.family == AF_INET);
  CHECK(state.record.protocol == IPPROTO_UDP);
  CHECK(state.record.local == local_of(fd.get()));
  CHECK(state.record.peer == address("10.9.0.77", 4242));
  CHECK((state.record.flags & UDPCR_SOCK_CONNECTED) != 0);
  CHECK((state.record.file_flags & O_NONBLOCK) != 0);
  CHECK(state.record.options.empty());
  INFO(list(state.losses));
  CHECK(state.losses.empty());
}

TEST_CASE("capture refuses what is no UDP socket") {
  const auto engine = engine_under_test();
  const UniqueFd tcp(::socket(AF_INET, SOCK_STREAM, 0));
  const UniqueFd file(::open("/dev/null", O_RDONLY));
  CHECK_FALSE(is_udp_socket(tcp.get()));
  CHECK_FALSE(is_udp_socket(file.get()));
  CHECK_FALSE(is_udp_socket(-1));
  CHECK(is_udp_socket(unbound(AF_INET6).get()));
  CHECK_THROWS_AS(engine->capture(tcp.get(), {}), Error);
  CHECK_THROWS_AS(engine->take_rest(file.get(), 0, QueueEnd::refuses), Error);
}

TEST_CASE("capture consumes nothing and changes nothing") {
  const auto engine = engine_under_test();
  const std::string where = GENERATE("127.0.0.1", "::1", "::");
  const UniqueFd fd = socket_at(address(where));
  const Address to = local_of(fd.get());
  const UniqueFd sender = unbound(to.family);
  Address target = to;
  if (where == "::") target = address("::1", to.port);
  const std::vector<std::string> sent = {"", "one", "", "", "four", std::string(60000, 'x'),
                                         "", "7"};
  for (const std::string& payload : sent) send_to(sender.get(), target, payload);

  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{EPOLLIN | EPOLLET, {}};
  REQUIRE(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd.get(), &event) == 0);
  REQUIRE(::epoll_wait(epoll.get(), &event, 1, 0) == 1);
  REQUIRE(::epoll_wait(epoll.get(), &event, 1, 0) == 0);

  const auto before = all_options(fd.get());
  for (int round = 0; round < 3; ++round) {
    const SocketState state = engine->capture(fd.get(), {});
    INFO("round " << round << "\n" << list(state.losses));
    const auto queue = decode_all(state.receive_queue);
    REQUIRE(queue.size() == sent.size());
    CHECK(state.record.queue_count == sent.size());
    for (std::size_t i = 0; i < sent.size(); ++i) {
      CHECK(text(queue[i].payload) == sent[i]);
      CHECK(queue[i].source->port == local_of(sender.get()).port);
      CHECK(queue[i].destination->port == to.port);
      // IPv4 notes it only while the program has IP_PKTINFO on.
      if (to.family == AF_INET6) CHECK(queue[i].ifindex == 1U);
      CHECK(queue[i].ttl == 64);
    }
    CHECK(state.losses.empty());
    CHECK(all_options(fd.get()) == before);
    CHECK(get(fd.get(), SOL_SOCKET, SO_PEEK_OFF) == -1);
  }
  CHECK(::epoll_wait(epoll.get(), &event, 1, 0) == 0);
  CHECK(payloads(read_all(fd.get())) == sent);
  send_to(sender.get(), target, "later");
  CHECK(::epoll_wait(epoll.get(), &event, 1, 100) == 1);
}

TEST_CASE("empty datagrams are found again after some were read and more came") {
  const auto engine = engine_under_test();
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const Address to = local_of(fd.get());
  const UniqueFd sender = unbound(AF_INET);
  for (const char* payload : {"", "a", "", "b", ""}) send_to(sender.get(), to, payload);
  REQUIRE(engine->capture(fd.get(), {}).receive_queue.count() == 5);
  char room[16];
  REQUIRE(::recv(fd.get(), room, sizeof room, 0) == 0);
  CHECK(engine->capture(fd.get(), {}).receive_queue.count() == 4);
  REQUIRE(::recv(fd.get(), room, sizeof room, 0) == 1);
  CHECK(engine->capture(fd.get(), {}).receive_queue.count() == 3);
  for (const char* payload : {"", "c"}) send_to(sender.get(), to, payload);
  const SocketState state = engine->capture(fd.get(), {});
  std::vector<std::string> all;
  const auto queue = decode_all(state.receive_queue);
  for (const Datagram& one : queue) all.push_back(text(one.payload));
  CHECK(all == std::vector<std::string>{"", "b", "", "", "c"});
  // The same bytes could have come again after the others were read: named,
  // unless arrival times tell (the machine takes them while any socket asks).
  const bool unsure = !with_module() && queue[0].timestamp == queue[2].timestamp;
  CHECK(names(state.losses, "empty datagrams") == unsure);
  CHECK_FALSE(names(engine->capture(fd.get(), {}).losses, "empty datagrams"));
  CHECK(payloads(read_all(fd.get())) == all);
  CHECK(engine->capture(fd.get(), {}).receive_queue.empty());
}

TEST_CASE("IPv4 datagrams on an IPv6 socket have IPv4 addresses") {
  const auto engine = engine_under_test();
  const UniqueFd fd = socket_at(address("::"));
  const std::uint16_t port = local_of(fd.get()).port;
  const UniqueFd v4 = unbound(AF_INET);
  const UniqueFd v6 = unbound(AF_INET6);
  set(v4.get(), SOL_IP, IP_TOS, 0x28);
  set(v4.get(), SOL_IP, IP_TTL, 17);
  set(v6.get(), SOL_IPV6, IPV6_TCLASS, 0x30);
  send_to(v4.get(), address("192.0.2.7", port), "four");
  send_to(v6.get(), address("2001:db8::7", port), "six");
  const auto queue = decode_all(engine->capture(fd.get(), {}).receive_queue);
  REQUIRE(queue.size() == 2);
  CHECK(queue[0].source->family == AF_INET);
  CHECK(queue[0].destination == address("192.0.2.7", port));
  CHECK(queue[0].tos == 0x28);
  CHECK(queue[0].ttl == 17);
  CHECK(queue[1].destination == address("2001:db8::7", port));
  CHECK(queue[1].tos == 0x30);
}

TEST_CASE("the program's own timestamps and options survive capture") {
  const auto engine = engine_under_test();
  const UniqueFd stamped = timestamps();
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, 1);
  set(fd.get(), SOL_IP, IP_RECVTTL, 1);
  send_to(unbound(AF_INET).get(), local_of(fd.get()), "x");
  const auto before = all_options(fd.get());
  const SocketState state = engine->capture(fd.get(), {});
  CHECK(all_options(fd.get()) == before);
  const auto queue = decode_all(state.receive_queue);
  REQUIRE(queue.size() == 1);
  CHECK(queue[0].timestamp.value_or(0) > 1'500'000'000'000'000'000U);
  CHECK(state.record.options.size() == 2);
}

TEST_CASE("a reading state puts back what a dead reader has left") {
  const UniqueFd fd = socket_at(address("::1"));
  const ReadingState state(fd.get());
  const auto before = all_options(fd.get());
  set(fd.get(), SOL_SOCKET, SO_PEEK_OFF, 77);
  ask_for_everything(fd.get());
  set(fd.get(), SOL_SOCKET, SO_TIMESTAMPING, 24);
  REQUIRE(all_options(fd.get()) != before);
  state.restore();
  CHECK(all_options(fd.get()) == before);
}
