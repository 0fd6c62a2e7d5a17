// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Each attribute of a record beside what the system calls say of the socket.
#include <fcntl.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <map>

#include "kernel_numbers.hpp"
#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

Address peer_of(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return {};
  return Address::from_sockaddr(name);
}

Address local_in(const Message& record) {
  return record.address(UDPCR_A_LOCAL_ADDR, UDPCR_A_LOCAL_PORT, UDPCR_A_LOCAL_SCOPE);
}

Address link_local(const char* interface, std::uint16_t port = 0) {
  // fe80::... of the interface, as /proc/net/if_inet6 has it.
  std::string text = file_text("/proc/self/net/if_inet6");
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    if (line.rfind("fe80", 0) != 0 || line.find(interface) == std::string::npos) continue;
    Address result;
    result.family = AF_INET6;
    result.port = port;
    result.scope = index_of(interface);
    for (std::size_t i = 0; i < 16; ++i) {
      result.bytes[i] = static_cast<std::uint8_t>(std::stoul(line.substr(2 * i, 2), nullptr, 16));
    }
    return result;
  }
  throw std::runtime_error("no link-local address");
}

std::uint32_t flags_of(int fd) { return Talk().record(fd).u32(UDPCR_A_SOCK_FLAGS); }

}  // namespace

TEST_CASE("record: addresses as getsockname and getpeername give them", "[smoke]") {
  const std::string where =
      GENERATE("", "0.0.0.0", "127.0.0.1", "10.9.0.1", "::", "::1", "fd00:9::1", "link");
  const bool v6 = where == "link" || where.find(':') != std::string::npos;
  const UniqueFd fd = where.empty()     ? unbound(GENERATE(AF_INET, AF_INET6))
                      : where == "link" ? socket_at(link_local("left"))
                                        : socket_at(address(where));
  CAPTURE(where);
  Talk talk;
  Message record = talk.record(fd.get());
  CHECK(record.command == UDPCR_CMD_SOCKET);
  CHECK(record.u16(UDPCR_A_FAMILY) == get(fd.get(), SOL_SOCKET, SO_DOMAIN));
  CHECK(record.u16(UDPCR_A_PROTOCOL) == IPPROTO_UDP);
  CHECK(local_in(record) == local_of(fd.get()));
  CHECK_FALSE(record.has(UDPCR_A_PEER_ADDR));
  CHECK_FALSE(record.has(UDPCR_A_PEER_PORT));
  if (where.empty() || where == "127.0.0.1" || where == "::1") return;
  Address peer =
      where == "link" ? link_local("left", 4000) : address(v6 ? "fd00:9::2" : "10.9.0.2", 4000);
  connect_to(fd.get(), peer);
  record = talk.record(fd.get());
  CHECK(local_in(record) == local_of(fd.get()));
  CHECK(record.address(UDPCR_A_PEER_ADDR, UDPCR_A_PEER_PORT, UDPCR_A_PEER_SCOPE) ==
        peer_of(fd.get()));
  CHECK((record.u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_CONNECTED) != 0);
}

TEST_CASE("record: a v6 socket that is connected to a v4 peer") {
  const UniqueFd fd = socket_at(address("::"));
  connect_to(fd.get(), address("::ffff:10.9.0.2", 4001));
  const Message record = Talk().record(fd.get());
  CHECK(local_in(record) == local_of(fd.get()));
  CHECK(record.address(UDPCR_A_PEER_ADDR, UDPCR_A_PEER_PORT) == peer_of(fd.get()));
}

TEST_CASE("record: UDP-Lite, where the kernel has it") {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE));
  if (!fd) {
    // Gone since 7.1.
    CHECK(errno == EPROTONOSUPPORT);
    return;
  }
  bind_to(fd.get(), address("127.0.0.1"));
  Talk talk;
  CHECK(talk.record(fd.get()).u16(UDPCR_A_PROTOCOL) == IPPROTO_UDPLITE);
  bool listed = false;
  for (const Message& one : talk.must_dump(Request(UDPCR_CMD_SOCKET))) {
    listed = listed || one.u64(UDPCR_A_INO) == inode_of(fd.get());
  }
  CHECK(listed);
  // Found by inode alone, too.
  const Holder holder([] {
    UniqueFd made = unbound(AF_INET, IPPROTO_UDPLITE);
    bind_to(made.get(), address("127.0.0.1"));
    return made;
  });
  CHECK(talk.ask(Request(UDPCR_CMD_SOCKET).u64(UDPCR_A_INO, holder.inode())).error == 0);
}

TEST_CASE("record: cookie, owner, file flags", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  CHECK_FALSE(talk.record(fd.get()).has(UDPCR_A_COOKIE));
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  REQUIRE(::getsockopt(fd.get(), SOL_SOCKET, kSoCookie, &cookie, &size) == 0);
  CHECK(talk.record(fd.get()).u64(UDPCR_A_COOKIE) == cookie);

  CHECK(talk.record(fd.get()).u32(UDPCR_A_UID) == 0);
  REQUIRE(::fchown(fd.get(), 1234, 0) == 0);
  CHECK(talk.record(fd.get()).u32(UDPCR_A_UID) == 1234);

  for (const int flags : {0, O_NONBLOCK, O_ASYNC, O_NONBLOCK | O_ASYNC}) {
    REQUIRE(::fcntl(fd.get(), F_SETFL, flags) == 0);
    CHECK(talk.record(fd.get()).u32(UDPCR_A_FILE_FLAGS) ==
          static_cast<std::uint32_t>(::fcntl(fd.get(), F_GETFL)));
  }
}

TEST_CASE("record: the device by name") {
  const UniqueFd fd = unbound(AF_INET);
  Talk talk;
  CHECK_FALSE(talk.record(fd.get()).has(UDPCR_A_DEVICE));
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "left", 5) == 0);
  CHECK(talk.record(fd.get()).string(UDPCR_A_DEVICE) == "left");
}

TEST_CASE("record: which part of the address was given to bind", "[smoke]") {
  constexpr std::uint32_t kOrigin =
      UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_ADDR | UDPCR_SOCK_BOUND_PORT;
  const bool v6 = GENERATE(false, true);
  const std::string any = v6 ? "::" : "0.0.0.0";
  const std::string one = v6 ? "::1" : "127.0.0.1";
  const auto flags = [&](const UniqueFd& fd) { return flags_of(fd.get()) & kOrigin; };
  CHECK(flags(unbound(v6 ? AF_INET6 : AF_INET)) == 0);
  CHECK(flags(socket_at(address(one))) == (UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_ADDR));
  CHECK(flags(socket_at(address(one, free_port()))) == kOrigin);
  CHECK(flags(socket_at(address(any, free_port()))) == (UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_PORT));
  // Bound by sending or connecting.
  const UniqueFd sender = unbound(v6 ? AF_INET6 : AF_INET);
  const UniqueFd sink = socket_at(address(one));
  send_to(sender.get(), local_of(sink.get()), "binds");
  CHECK(flags(sender) == 0);
  const UniqueFd connected = unbound(v6 ? AF_INET6 : AF_INET);
  connect_to(connected.get(), local_of(sink.get()));
  CHECK(flags(connected) == 0);
  CHECK((flags_of(connected.get()) & UDPCR_SOCK_CONNECTED) != 0);
  CHECK((flags_of(sender.get()) & UDPCR_SOCK_CONNECTED) == 0);
  // The kernel's own marks are facts.
  CHECK((flags_of(sender.get()) & UDPCR_SOCK_ORIGIN_KNOWN) != 0);
}

TEST_CASE("record: counters of the receive queue", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUF, 4096);
  const UniqueFd sender = unbound(AF_INET);
  Talk talk;
  Message record = talk.record(fd.get());
  CHECK(record.u32(UDPCR_A_QUEUE_COUNT) == 0);
  CHECK(record.u32(UDPCR_A_RMEM) == 0);
  CHECK(record.u32(UDPCR_A_DROPS) == 0);
  for (int i = 0; i < 100; ++i) send_to(sender.get(), local_of(fd.get()), "fills");
  record = talk.record(fd.get());
  CHECK(record.u32(UDPCR_A_RMEM) == charged(fd.get()));
  CHECK(record.u32(UDPCR_A_DROPS) == dropped(fd.get()));
  CHECK(record.u32(UDPCR_A_DROPS) > 0);
  CHECK(record.u32(UDPCR_A_QUEUE_COUNT) + record.u32(UDPCR_A_DROPS) == 100);
  CHECK(receive_all(fd.get()).size() == record.u32(UDPCR_A_QUEUE_COUNT));
}

TEST_CASE("record: shut down, each way") {
  const int how = GENERATE(-1, SHUT_RD, SHUT_WR, SHUT_RDWR);
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  connect_to(fd.get(), address("127.0.0.1", 4002));
  if (how >= 0) REQUIRE(::shutdown(fd.get(), how) == 0);
  const Message record = Talk().record(fd.get());
  // 1: receiving, 2: sending.
  const int found = record.has(UDPCR_A_SHUTDOWN) ? record.u8(UDPCR_A_SHUTDOWN) : 0;
  CHECK(found == how + 1);
}

TEST_CASE("record: a pending error is told and stays pending", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  connect_to(fd.get(), address("127.0.0.1", free_port()));
  Talk talk;
  CHECK_FALSE(talk.record(fd.get()).has(UDPCR_A_ERROR));
  REQUIRE(::send(fd.get(), "x", 1, 0) == 1);
  for (int i = 0; i < 2; ++i) CHECK(talk.record(fd.get()).u32(UDPCR_A_ERROR) == ECONNREFUSED);
  CHECK(get(fd.get(), SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
  CHECK_FALSE(talk.record(fd.get()).has(UDPCR_A_ERROR));
}

TEST_CASE("record: messages in the error queue, corked bytes, datagrams held aside", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_IP, IP_RECVERR, 1);
  Talk talk;
  const std::uint16_t closed = free_port();
  for (int i = 0; i < 3; ++i) {
    // The error of the one before is pending.
    (void)get(fd.get(), SOL_SOCKET, SO_ERROR);
    send_to(fd.get(), address("127.0.0.1", closed), "refused");
  }
  CHECK(talk.record(fd.get()).u32(UDPCR_A_ERROR_COUNT) == 3);
  CHECK(get(fd.get(), SOL_SOCKET, SO_ERROR) == ECONNREFUSED);

  send_with(fd.get(), address("127.0.0.1", closed), "1234567", {.flags = MSG_MORE});
  CHECK(talk.record(fd.get()).u32(UDPCR_A_CORK_LEN) == 7);

  const UniqueFd sender = unbound(AF_INET);
  for (int i = 0; i < 5; ++i) send_to(sender.get(), local_of(fd.get()), "held");
  talk.take(fd.get(), 1);
  const Message record = talk.record(fd.get());
  CHECK(record.u32(UDPCR_A_HELD_COUNT) == 5);
  CHECK(record.u32(UDPCR_A_QUEUE_COUNT) == 0);
}

TEST_CASE("record: an encapsulation socket is told apart, and its queues are not ours") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_UDP, UDP_ENCAP, UDP_ENCAP_L2TPINUDP);
  Talk talk;
  CHECK((talk.record(fd.get()).u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_ENCAP) != 0);
  const std::string inode = std::to_string(inode_of(fd.get()));
  CHECK(unlike(talk.dump(Request(UDPCR_CMD_QUEUE).socket(fd.get())), EOPNOTSUPP, {inode}) == "");
  for (const std::uint8_t command : {UDPCR_CMD_TAKE, UDPCR_CMD_STAGE}) {
    CHECK(unlike(talk.ask(Request(command).socket(fd.get()).u32(UDPCR_A_HANDLE, 1)), EOPNOTSUPP,
                 {inode}) == "");
  }
}

TEST_CASE("record: a socket in a BPF sockmap is told apart, and its queues are not ours") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  CHECK((talk.record(fd.get()).u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_SOCKMAP) == 0);
  const UniqueFd sockmap = sockmap_with(fd.get());
  REQUIRE(sockmap);
  CHECK((talk.record(fd.get()).u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_SOCKMAP) != 0);
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_TAKE).socket(fd.get()).u32(UDPCR_A_HANDLE, 1)),
               EOPNOTSUPP, {std::to_string(inode_of(fd.get())), "sockmap"}) == "");
}

TEST_CASE("record: the dump gives each bound socket of the namespace, and no other", "[smoke]") {
  std::vector<UniqueFd> mine;
  for (const char* where : {"0.0.0.0", "127.0.0.1", "::", "::1"}) {
    for (int i = 0; i < 100; ++i) mine.push_back(socket_at(address(where)));
  }
  const UniqueFd loose = unbound(AF_INET);
  UniqueFd far;
  {
    const In there(Net::far);
    far = socket_at(address("10.9.0.2"));
  }
  Talk talk;
  std::map<std::uint64_t, Message> found;
  for (const Message& one : talk.must_dump(Request(UDPCR_CMD_SOCKET))) {
    CHECK(found.emplace(one.u64(UDPCR_A_INO), one).second);
  }
  CHECK(found.size() == mine.size());
  CHECK(found.count(inode_of(loose.get())) == 0);
  CHECK(found.count(inode_of(far.get())) == 0);
  for (const UniqueFd& fd : mine) {
    const auto one = found.find(inode_of(fd.get()));
    REQUIRE(one != found.end());
    // The same record as when asked for it alone.
    const Message alone = talk.record(fd.get());
    REQUIRE(one->second.all.size() == alone.all.size());
    for (std::size_t i = 0; i < alone.all.size(); ++i) {
      if (one->second.all[i].type != alone.all[i].type ||
          one->second.all[i].value != alone.all[i].value) {
        FAIL_CHECK("attribute " << alone.all[i].type << " differs");
      }
    }
  }
}

TEST_CASE("record: the dump of a socket that has everything") {
  const UniqueFd fd = socket_at(link_local("left"));
  set(fd.get(), SOL_IPV6, IPV6_RECVERR, 1);
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "left", 5) == 0);
  connect_to(fd.get(), link_local("left", 9));
  ipv6_mreq group{};
  std::memcpy(&group.ipv6mr_multiaddr, address("ff05::5:5").bytes, 16);
  group.ipv6mr_interface = index_of("left");
  REQUIRE(::setsockopt(fd.get(), SOL_IPV6, IPV6_JOIN_GROUP, &group, sizeof group) == 0);
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  REQUIRE(::getsockopt(fd.get(), SOL_SOCKET, kSoCookie, &cookie, &size) == 0);
  // Nobody listens there: the answer is an error, which is queued and pending.
  REQUIRE(::send(fd.get(), "x", 1, 0) == 1);
  Talk talk;
  for (int i = 0; i < 500 && !talk.record(fd.get()).has(UDPCR_A_ERROR_COUNT); ++i) ::usleep(5000);
  talk.stage(fd.get(), 1);
  Attrs datagram;
  datagram.all.push_back({UDPCR_A_PAYLOAD, bytes("held")});
  talk.add(1, datagram);
  REQUIRE(talk.ask(Request(UDPCR_CMD_SET).socket(fd.get()).u32(UDPCR_A_ERROR, 0)).error == 0);
  REQUIRE(::send(fd.get(), "cork", 4, MSG_MORE) == 4);
  REQUIRE(
      talk.ask(Request(UDPCR_CMD_SET).socket(fd.get()).u32(UDPCR_A_ERROR, ECONNREFUSED)).error ==
      0);
  REQUIRE(talk.ask(Request(UDPCR_CMD_SET).socket(fd.get()).u32(UDPCR_A_TSKEY, 5)).error == 0);
  REQUIRE(::shutdown(fd.get(), SHUT_RD) == 0);
  const Message alone = talk.record(fd.get());
  const auto all = talk.must_dump(Request(UDPCR_CMD_SOCKET));
  const auto found = std::find_if(all.begin(), all.end(), [&](const Message& one) {
    return one.u64(UDPCR_A_INO) == inode_of(fd.get());
  });
  REQUIRE(found != all.end());
  CHECK(found->u64(UDPCR_A_COOKIE) == cookie);
  CHECK(local_in(*found) == local_of(fd.get()));
  CHECK(found->u32(UDPCR_A_LOCAL_SCOPE) == index_of("left"));
  CHECK(found->address(UDPCR_A_PEER_ADDR, UDPCR_A_PEER_PORT, UDPCR_A_PEER_SCOPE) ==
        peer_of(fd.get()));
  CHECK(found->u32(UDPCR_A_PEER_SCOPE) == index_of("left"));
  CHECK(found->string(UDPCR_A_DEVICE) == "left");
  CHECK(found->u8(UDPCR_A_SHUTDOWN) == 1);
  CHECK(found->u32(UDPCR_A_ERROR) == ECONNREFUSED);
  CHECK(found->u32(UDPCR_A_ERROR_COUNT) == 1);
  CHECK(found->u32(UDPCR_A_CORK_LEN) == 4);
  CHECK(found->u32(UDPCR_A_HELD_COUNT) == 1);
  CHECK(found->u32(UDPCR_A_TSKEY) == 5);
  CHECK(found->nests(UDPCR_A_MEMBERSHIP).size() == 1);
  CHECK(found->all.size() == alone.all.size());
}

TEST_CASE("set: the counter of drops and the pending error", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  const auto change = [&](std::uint16_t type, std::uint32_t value) {
    return talk.ask(Request(UDPCR_CMD_SET).socket(fd.get()).u32(type, value));
  };
  REQUIRE(change(UDPCR_A_DROPS, 4711).error == 0);
  CHECK(dropped(fd.get()) == 4711);
  CHECK(talk.record(fd.get()).u32(UDPCR_A_DROPS) == 4711);
  REQUIRE(change(UDPCR_A_DROPS, 0).error == 0);
  CHECK(dropped(fd.get()) == 0);

  REQUIRE(change(UDPCR_A_ERROR, EHOSTUNREACH).error == 0);
  pollfd waiting{fd.get(), POLLIN, 0};
  CHECK(::poll(&waiting, 1, 0) == 1);
  CHECK((waiting.revents & POLLERR) != 0);
  CHECK(talk.record(fd.get()).u32(UDPCR_A_ERROR) == EHOSTUNREACH);
  char byte = 0;
  CHECK(::recv(fd.get(), &byte, 1, MSG_DONTWAIT) == -1);
  CHECK(errno == EHOSTUNREACH);
  CHECK(::recv(fd.get(), &byte, 1, MSG_DONTWAIT) == -1);
  CHECK(errno == EAGAIN);
  // No errno is that large (include/linux/err.h, MAX_ERRNO).
  CHECK(unlike(change(UDPCR_A_ERROR, 4096), EINVAL, {"4096"}) == "");
  CHECK_FALSE(talk.record(fd.get()).has(UDPCR_A_ERROR));
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SET).socket(fd.get())), EINVAL) == "");
}
