// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Parked sockets: what is kept, who may claim it, and what is refused.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "park.hpp"
#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

constexpr unsigned kUser = 1000;
constexpr unsigned kOther = 2000;

UniqueFd as_user(unsigned uid) {
  become_user(uid);
  return socket_at(address("127.0.0.1"));
}

}  // namespace

TEST_CASE("park: the queue fills on when the program is gone; the claim gives the same socket",
          "[smoke][park]") {
  const std::string where = GENERATE("127.0.0.1", "::1");
  const End end = GENERATE(End::exit, End::kill);
  const UniqueFd sender = socket_at(address(where));
  const Left left = leave_one(
      [&] {
        UniqueFd fd = socket_at(address(where));
        set(fd.get(), SOL_SOCKET, SO_PRIORITY, 5);
        set(fd.get(), SOL_SOCKET, SO_RCVBUF, 100000);
        send_to(sender.get(), local_of(fd.get()), "before");
        return fd;
      },
      0, end);
  for (int i = 0; i < 3; ++i) send_to(sender.get(), left.local, std::to_string(i));
  settle();
  Talk talk;
  await("the program's end", [&] { return parked_one(talk, left.inode).has(UDPCR_A_SINCE); });
  const Message listed = parked_one(talk, left.inode);
  CHECK(listed.u16(UDPCR_A_FAMILY) == address(where).family);
  CHECK(listed.u16(UDPCR_A_PROTOCOL) == IPPROTO_UDP);
  CHECK(listed.address(UDPCR_A_LOCAL_ADDR, UDPCR_A_LOCAL_PORT) == left.local);
  CHECK(listed.u32(UDPCR_A_QUEUE_COUNT) == 4);
  CHECK(listed.u32(UDPCR_A_RMEM) > 0);
  CHECK(listed.u32(UDPCR_A_UID) == 0);
  CHECK(listed.u32(UDPCR_A_SECONDS) == UDPCR_PARK_SECONDS);
  CHECK(text(listed.bytes(UDPCR_A_KEY)) == "k");
  CHECK((listed.u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_PARKED) != 0);
  // The record tells the same; it is found although nobody has an fd.
  const Message record = talk.must(Request(UDPCR_CMD_SOCKET).u64(UDPCR_A_INO, left.inode)).one();
  CHECK((record.u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_PARKED) != 0);
  CHECK(record.u32(UDPCR_A_QUEUE_COUNT) == 4);

  const Message answer = talk.must(claim_of(left.inode).bytes(UDPCR_A_KEY, bytes("k"))).one();
  CHECK(answer.u64(UDPCR_A_INO) == left.inode);
  CHECK_FALSE(answer.has(UDPCR_A_COOKIE));  // nobody has asked for it
  const UniqueFd fd(static_cast<int>(answer.u32(UDPCR_A_FD)));
  CHECK(inode_of(fd.get()) == left.inode);
  CHECK(::fcntl(fd.get(), F_GETFD) == FD_CLOEXEC);
  CHECK(local_of(fd.get()) == left.local);
  CHECK(get(fd.get(), SOL_SOCKET, SO_PRIORITY) == 5);
  CHECK(get(fd.get(), SOL_SOCKET, SO_RCVBUF) == 200000);
  const auto seen = receive_all(fd.get());
  CHECK(texts(seen) == std::vector<std::string>{"before", "0", "1", "2"});
  for (const Received& one : seen) CHECK(one.source == local_of(sender.get()));
  CHECK((talk.record(fd.get()).u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_PARKED) == 0);
  CHECK_FALSE(is_parked(talk, left.inode));
  CHECK(unlike(talk.ask(claim_of(left.inode)), ENOENT, {std::to_string(left.inode)}) == "");
  // It lives on, and ends, with its new program.
  send_to(sender.get(), left.local, "after");
  CHECK(texts(receive_all(fd.get())) == std::vector<std::string>{"after"});
}

TEST_CASE("park: peer, corked bytes, memberships, drops and errors stay", "[park]") {
  const UniqueFd peer = socket_at(address("10.9.0.1"));
  const auto left = leave([&] {
    std::vector<UniqueFd> made;
    UniqueFd fd = socket_at(address("10.9.0.1"));
    connect_to(fd.get(), local_of(peer.get()));
    set(fd.get(), SOL_UDP, UDP_CORK, 1);
    demand(::send(fd.get(), "corked, ", 8, 0) == 8, "send");
    made.push_back(std::move(fd));
    fd = socket_at(address("239.1.2.3", 5055));
    ip_mreqn join{};
    join.imr_multiaddr.s_addr = htonl(0xef010203);
    join.imr_ifindex = static_cast<int>(index_of("left"));
    demand(::setsockopt(fd.get(), SOL_IP, IP_ADD_MEMBERSHIP, &join, sizeof join) == 0, "join");
    made.push_back(std::move(fd));
    return made;
  });
  REQUIRE(left.size() == 2);
  Talk talk;
  Message listed = parked_one(talk, left[0].inode);
  CHECK(listed.address(UDPCR_A_PEER_ADDR, UDPCR_A_PEER_PORT) == local_of(peer.get()));
  CHECK((listed.u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_CONNECTED) != 0);
  // While it is parked an order can be given to it as to any other.
  talk.must(Request(UDPCR_CMD_SET).u64(UDPCR_A_INO, left[0].inode).u32(UDPCR_A_DROPS, 77));
  send_to(peer.get(), left[0].local, "for the connected one");
  {
    const In there(Net::far);
    const UniqueFd far = socket_at(address("10.9.0.2"));
    in_addr out{};
    out.s_addr = htonl(0x0a090002);
    REQUIRE(::setsockopt(far.get(), SOL_IP, IP_MULTICAST_IF, &out, sizeof out) == 0);
    send_to(far.get(), address("239.1.2.3", 5055), "for the group");
  }
  await("the group's datagram",
        [&] { return parked_one(talk, left[1].inode).u32(UDPCR_A_QUEUE_COUNT) == 1; });
  const UniqueFd connected = claim(talk, left[0].inode);
  const UniqueFd member = claim(talk, left[1].inode);
  CHECK(dropped(connected.get()) == 77);
  CHECK(texts(receive_all(connected.get())) == std::vector<std::string>{"for the connected one"});
  CHECK(texts(receive_all(member.get())) == std::vector<std::string>{"for the group"});
  REQUIRE(::send(connected.get(), "and sent", 8, 0) == 8);
  set(connected.get(), SOL_UDP, UDP_CORK, 0);
  await("the corked datagram",
        [&] { return talk.record(peer.get()).u32(UDPCR_A_QUEUE_COUNT) == 1; });
  CHECK(texts(receive_all(peer.get())) == std::vector<std::string>{"corked, and sent"});
  CHECK(talk.record(member.get()).nests(UDPCR_A_MEMBERSHIP).size() == 1);
  // Scope, device and cookie are told as well.
  const auto scoped = leave([&] {
    std::vector<UniqueFd> made;
    UniqueFd fd = unbound(AF_INET6);
    Address where = address("fe80::1234");
    where.scope = index_of("left");
    set(fd.get(), SOL_IPV6, IPV6_FREEBIND, 1);
    bind_to(fd.get(), where);
    Address to = address("fe80::1", 9);
    to.scope = index_of("left");
    connect_to(fd.get(), to);
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    demand(::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0, "SO_COOKIE");
    made.push_back(std::move(fd));
    return made;
  });
  listed = parked_one(talk, scoped.at(0).inode);
  CHECK(listed.u32(UDPCR_A_LOCAL_SCOPE) == index_of("left"));
  CHECK(listed.u32(UDPCR_A_PEER_SCOPE) == index_of("left"));
  CHECK(listed.string(UDPCR_A_DEVICE) == "left");
  const std::uint64_t cookie = listed.u64(UDPCR_A_COOKIE);
  CHECK(unlike(talk.ask(claim_of(scoped[0].inode).u64(UDPCR_A_COOKIE, cookie + 1)), ESTALE,
               {std::to_string(cookie + 1)}) == "");
  CHECK(unlike(talk.ask(unpark_of(scoped[0].inode).u64(UDPCR_A_COOKIE, cookie + 1)), ESTALE,
               {std::to_string(cookie + 1)}) == "");
  const Message answer =
      talk.must(claim_of(scoped[0].inode, "k").u64(UDPCR_A_COOKIE, cookie)).one();
  const UniqueFd fd(static_cast<int>(answer.u32(UDPCR_A_FD)));
  CHECK(answer.u64(UDPCR_A_COOKIE) == cookie);
}

TEST_CASE("park: no claim while anybody has it open, in a message under way too: EBUSY",
          "[smoke][park]") {
  Talk talk;
  const Pair through = pair();
  std::uint64_t inode = 0;
  {
    const Holder holder([&] {
      UniqueFd fd = socket_at(address("127.0.0.1"));
      Talk().must(park_of(fd.get()));
      send_fd(through.ends[0].get(), fd.get());
      return fd;
    });
    inode = holder.inode();
    CHECK(unlike(talk.ask(claim_of(inode)), EBUSY, {std::to_string(inode), "(2)"}) == "");
    CHECK_FALSE(parked_one(talk, inode).has(UDPCR_A_SINCE));
  }
  // The holder is gone; the message is not.
  CHECK(unlike(talk.ask(claim_of(inode)), EBUSY, {"(1)"}) == "");
  UniqueFd fd = receive_fd(through.ends[1].get());
  // It may be the caller itself.
  CHECK(unlike(talk.ask(claim_of(inode)), EBUSY, {"(1)"}) == "");
  fd.reset();
  CHECK(parked_one(talk, inode).has(UDPCR_A_SINCE));
  CHECK(inode_of(claim(talk, inode, "").get()) == inode);
}

TEST_CASE("park: the user who parked may claim; another needs CAP_NET_ADMIN: EPERM",
          "[smoke][park]") {
  const Left left = leave_one([] { return as_user(kUser); });
  Talk talk;
  CHECK(parked_one(talk, left.inode).u32(UDPCR_A_UID) == kUser);
  CHECK(in_child([&] {
          become_user(kOther);
          Talk mine;
          for (const Request& request : {claim_of(left.inode), unpark_of(left.inode)})
            demand_like(mine.ask(request), EPERM, {"user 1000", "CAP_NET_ADMIN"});
          demand(!is_parked(mine, left.inode), "another user's is listed");
          const UniqueFd own = socket_at(address("127.0.0.1"));
          demand_like(mine.ask(claim_of(inode_of(own.get()))), ENOENT, {"is parked"});
        }) == "");
  // A netlink socket of root's lends a user nothing.
  CHECK(in_child([&] {
          become_user(kUser);
          demand_like(talk.ask(claim_of(left.inode)), EPERM, {"CAP_NET_ADMIN"});
          demand(!is_parked(talk, left.inode), "through another's netlink socket it is listed");
        }) == "");
  // Nor does root what a user's netlink socket asks for by write(2).
  const Left roots = leave_one([] { return socket_at(address("127.0.0.1")); });
  CHECK(in_child([&] {
          demand(::seteuid(kUser) == 0, "seteuid");
          Talk users;
          users.send_by_write();
          demand(::seteuid(0) == 0, "seteuid");
          demand_like(users.ask(claim_of(roots.inode)), EPERM, {"rights", "CAP_NET_ADMIN"});
        }) == "");
  CHECK(in_child([&] {
          become_user(kUser);
          Talk mine;
          demand(parked(mine).size() == 1, "not only the own one is listed");
          demand(inode_of(claim(mine, left.inode).get()) == left.inode, "another socket");
        }) == "");
  CHECK(inode_of(claim(talk, roots.inode).get()) == roots.inode);
  const Left again = leave_one([] { return as_user(kUser); });
  CHECK(inode_of(claim(talk, again.inode).get()) == again.inode);
}

TEST_CASE("park: an own socket needs no privilege to be parked; another's: EPERM", "[park]") {
  const UniqueFd roots = socket_at(address("127.0.0.1"));
  CHECK(in_child([&] {
          become_user(kUser);
          Talk talk;
          demand_like(talk.ask(park_of(roots.get())), EPERM, {"user 0"});
          const UniqueFd own = unbound(AF_INET6);
          talk.must(park_of(own.get()));
          // What is not bound is listed, too.
          demand(parked_one(talk, inode_of(own.get())).port(UDPCR_A_LOCAL_PORT) == 0, "a port");
          talk.must(unpark_of(inode_of(own.get())));
          // CAP_NET_ADMIN over another network lets nobody claim here.
          talk.must(park_of(own.get()));
          demand(in_child([&] {
                   enter_own_namespaces();
                   Talk there;
                   demand_like(there.ask(claim_of(inode_of(own.get()))), ENOENT, {});
                   demand_like(there.ask(park_of(own.get())), EXDEV, {"network namespace"});
                 }) == "",
                 "a network of one's own");
          talk.must(unpark_of(inode_of(own.get())));
        }) == "");
}

TEST_CASE("park: another network namespace has nothing to do with it: ENOENT, EXDEV",
          "[smoke][park]") {
  const Left left = leave_one([] { return socket_at(address("127.0.0.1")); });
  const UniqueFd near = socket_at(address("127.0.0.1"));
  {
    const In there(Net::far);
    Talk far;
    for (const Request& request : {claim_of(left.inode), unpark_of(left.inode)})
      CHECK(unlike(far.ask(request), ENOENT, {std::to_string(left.inode)}) == "");
    CHECK(unlike(far.ask(park_of(near.get())), EXDEV, {std::to_string(inode_of(near.get()))}) ==
          "");
    CHECK(parked(far).empty());
  }
  Talk talk;
  CHECK(parked(talk).size() == 1);
  claim(talk, left.inode);
}

TEST_CASE("park: the key of a claim must be the park's: EKEYREJECTED", "[smoke][park]") {
  Talk talk;
  const std::string longest(UDPCR_MAX_KEY, 'x');
  for (const std::string& key : {std::string("k"), longest}) {
    UniqueFd fd = socket_at(address("127.0.0.1"));
    const std::uint64_t inode = inode_of(fd.get());
    talk.must(park_of(fd.get(), key));
    fd.reset();
    CHECK(text(parked_one(talk, inode).bytes(UDPCR_A_KEY)) == key);
    CHECK(unlike(talk.ask(claim_of(inode)), EKEYREJECTED, {std::to_string(inode)}) == "");
    for (const std::string& wrong : {std::string(""), std::string("K"), key + "k", longest + "x"}) {
      const int error = wrong.size() > UDPCR_MAX_KEY ? ERANGE : EKEYREJECTED;
      CHECK(unlike(talk.ask(claim_of(inode).bytes(UDPCR_A_KEY, bytes(wrong))), error) == "");
    }
    const Message answer = talk.must(claim_of(inode).bytes(UDPCR_A_KEY, bytes(key))).one();
    CHECK(inode_of(UniqueFd(static_cast<int>(answer.u32(UDPCR_A_FD))).get()) == inode);
  }
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  CHECK(unlike(talk.ask(park_of(fd.get(), longest + "x")), ERANGE) == "");
  CHECK(parked(talk).empty());
}

TEST_CASE("park: the same key renews, another is refused: EEXIST", "[smoke][park]") {
  Talk talk;
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const std::uint64_t inode = inode_of(fd.get());
  talk.must(park_of(fd.get(), "k", 5));
  CHECK(parked_one(talk, inode).u32(UDPCR_A_SECONDS) == 5);
  talk.must(park_of(fd.get(), "k", 9));
  CHECK(parked_one(talk, inode).u32(UDPCR_A_SECONDS) == 9);
  talk.must(park_of(fd.get(), "k"));
  CHECK(parked_one(talk, inode).u32(UDPCR_A_SECONDS) == UDPCR_PARK_SECONDS);
  CHECK(unlike(talk.ask(park_of(fd.get(), "other", 7)), EEXIST, {std::to_string(inode)}) == "");
  CHECK(unlike(talk.ask(park_of(fd.get())), EEXIST, {std::to_string(inode)}) == "");
  CHECK(parked(talk).size() == 1);
  // One that root has parked is not a user's to renew, be the socket his own.
  CHECK(in_child([&] {
          demand(::fchown(fd.get(), kUser, kUser) == 0, "fchown");
          become_user(kUser);
          demand_like(Talk().ask(park_of(fd.get(), "k")), EEXIST, {std::to_string(inode)});
        }) == "");
  talk.must(unpark_of(inode));
  CHECK(unlike(talk.ask(unpark_of(inode)), ENOENT, {std::to_string(inode)}) == "");
  // It was open all the time.
  send_to(fd.get(), local_of(fd.get()), "open");
  CHECK(texts(receive_all(fd.get())) == std::vector<std::string>{"open"});
}

TEST_CASE("park: what cannot be parked", "[smoke][park]") {
  Talk talk;
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const std::uint64_t inode = inode_of(fd.get());
  const auto number = [](int of) { return static_cast<std::uint32_t>(of); };
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_PARK).socket(fd.get(), false)), EINVAL, {"UDPCR_A_FD"}) ==
        "");
  for (const std::uint8_t command : {UDPCR_CMD_PARK, UDPCR_CMD_CLAIM, UDPCR_CMD_UNPARK}) {
    Request request(command);
    if (command == UDPCR_CMD_PARK) request.u32(UDPCR_A_FD, number(fd.get()));
    CHECK(unlike(talk.ask(request), EINVAL, {"UDPCR_A_INO"}) == "");
  }
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_PARK)
                            .u64(UDPCR_A_INO, inode + 1)
                            .u32(UDPCR_A_FD, number(fd.get()))),
               ESTALE, {std::to_string(inode)}) == "");
  CHECK(unlike(talk.ask(park_of(fd.get()).u64(UDPCR_A_COOKIE, 12345)), ESTALE, {"12345"}) == "");
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_PARK).u64(UDPCR_A_INO, 1).u32(UDPCR_A_FD, 900)), EBADF,
               {"900"}) == "");
  const UniqueFd stream(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(unlike(talk.ask(park_of(stream.get())), EPROTOTYPE) == "");
  const Pair through = pair();
  CHECK(unlike(talk.ask(park_of(through.ends[0].get())), EPROTOTYPE) == "");
  // An attribute that is not the command's, and one that nobody knows.
  CHECK(unlike(talk.ask(park_of(fd.get()).u32(UDPCR_A_HANDLE, 1)), EINVAL) == "");
  CHECK(unlike(talk.ask(claim_of(inode).u32(UDPCR_A_FD, number(fd.get()))), EINVAL) == "");
  CHECK(unlike(talk.ask(unpark_of(inode).u32(UDPCR_A_MAX + 1, 0)), EINVAL) == "");
  CHECK(unlike(talk.dump(Request(UDPCR_CMD_PARKED).u64(UDPCR_A_INO, inode)), EINVAL) == "");
  const UniqueFd tunnel = socket_at(address("127.0.0.1"));
  set(tunnel.get(), SOL_UDP, UDP_ENCAP, UDP_ENCAP_L2TPINUDP);
  CHECK(unlike(talk.ask(park_of(tunnel.get())), EOPNOTSUPP, {"UDP_ENCAP"}) == "");
  const UniqueFd sockmap = sockmap_with(fd.get());
  REQUIRE(sockmap);
  CHECK(unlike(talk.ask(park_of(fd.get())), EOPNOTSUPP, {"sockmap"}) == "");
  CHECK(parked(talk).empty());
}

TEST_CASE("park: unparked it is closed, and its port free at once", "[smoke][park]") {
  const Left left = leave_one([] { return socket_at(address("127.0.0.1")); });
  Talk talk;
  for (int i = 0; i < 50; ++i) {
    UniqueFd fd = i == 0 ? claim(talk, left.inode) : socket_at(left.local);
    const std::uint64_t inode = inode_of(fd.get());
    talk.must(park_of(fd.get()));
    fd.reset();
    // Still taken.
    const UniqueFd other = unbound(AF_INET);
    socklen_t size = 0;
    const sockaddr_storage name = left.local.to_sockaddr(size);
    REQUIRE(::bind(other.get(), reinterpret_cast<const sockaddr*>(&name), size) == -1);
    REQUIRE(errno == EADDRINUSE);
    talk.must(unpark_of(inode));
  }
}

TEST_CASE("park: a user's most sockets, and bytes of SO_RCVBUF: EDQUOT", "[smoke][park]") {
  const std::string parameters = "/sys/module/udpcr/parameters/";
  const Setting few(parameters + "max_parked", "3");
  const Setting bytes_of_buffers(parameters + "max_parked_bytes", "250000");
  CHECK(in_child([] {
          become_user(kUser);
          Talk talk;
          UniqueFd all[4];
          for (UniqueFd& fd : all) {
            fd = socket_at(address("127.0.0.1"));
            set(fd.get(), SOL_SOCKET, SO_RCVBUF, 10000);
          }
          for (int i = 0; i < 3; ++i) talk.must(park_of(all[i].get()));
          demand_like(talk.ask(park_of(all[3].get())), EDQUOT,
                      {"user 1000", "3 sockets", "max_parked"});
          // A renewal is no further one.
          talk.must(park_of(all[0].get()));
          for (int i = 0; i < 3; ++i) talk.must(unpark_of(inode_of(all[i].get())));
          talk.must(park_of(all[3].get()));
          set(all[0].get(), SOL_SOCKET, SO_RCVBUF, 120000);
          // 20,000 and 240,000 bytes.
          demand_like(talk.ask(park_of(all[0].get())), EDQUOT,
                      {"user 1000", "260000 bytes", "max_parked_bytes 250000"});
          talk.must(unpark_of(inode_of(all[3].get())));
          talk.must(park_of(all[0].get()));
          talk.must(unpark_of(inode_of(all[0].get())));
        }) == "");
  // CAP_NET_ADMIN is above it.
  Talk talk;
  std::vector<UniqueFd> mine;
  for (int i = 0; i < 5; ++i) {
    mine.push_back(socket_at(address("127.0.0.1")));
    talk.must(park_of(mine.back().get()));
  }
  for (const UniqueFd& fd : mine) talk.must(unpark_of(inode_of(fd.get())));
}

TEST_CASE("park: a member of a reuseport group, and whether another one is read", "[smoke][park]") {
  const auto member = [](const Address& where) {
    UniqueFd fd = unbound(where.family);
    set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    bind_to(fd.get(), where);
    return fd;
  };
  UniqueFd living = member(address("127.0.0.1"));
  const Address where = local_of(living.get());
  const auto left = leave([&] {
    std::vector<UniqueFd> made;
    for (int i = 0; i < 2; ++i) made.push_back(member(where));
    return made;
  });
  Talk talk;
  const auto siblings = [&](std::uint64_t inode) {
    const std::uint32_t listed = parked_one(talk, inode).u32(UDPCR_A_SOCK_FLAGS);
    const std::uint32_t record =
        talk.must(Request(UDPCR_CMD_SOCKET).u64(UDPCR_A_INO, inode)).one().u32(UDPCR_A_SOCK_FLAGS);
    CHECK(listed == record);
    return (listed & UDPCR_SOCK_REUSEPORT_SIBLINGS) != 0;
  };
  for (const Left& one : left) CHECK(siblings(one.inode));
  // Of one that is not parked nothing is said.
  CHECK((talk.record(living.get()).u32(UDPCR_A_SOCK_FLAGS) &
         (UDPCR_SOCK_PARKED | UDPCR_SOCK_REUSEPORT_SIBLINGS)) == 0);
  // Parked and open: it is still read.
  talk.must(park_of(living.get(), "k"));
  const std::uint64_t last = inode_of(living.get());
  for (const Left& one : left) CHECK(siblings(one.inode));
  CHECK_FALSE(siblings(last));
  living.reset();
  for (const Left& one : left) CHECK_FALSE(siblings(one.inode));
  const UniqueFd first = claim(talk, left[0].inode);
  CHECK(siblings(left[1].inode));
  CHECK(siblings(last));
  talk.must(unpark_of(left[1].inode));
  talk.must(unpark_of(last));
}

TEST_CASE("park: no fd left, or no room for the answer: it stays parked", "[park]") {
  const Left left = leave_one([] { return socket_at(address("127.0.0.1")); });
  CHECK(in_child([&] {
          Talk talk;
          const rlimit few{static_cast<rlim_t>(talk.fd()), 4096};
          demand(::setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
          demand_like(talk.ask(claim_of(left.inode, "k")), EMFILE, {"no fd"});
        }) == "");
  Talk deaf;
  const int room = 1;  // the kernel's least
  REQUIRE(::setsockopt(deaf.fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room) == 0);
  for (int i = 0; i < 50; ++i) deaf.post(Request(UDPCR_CMD_SOCKET).u64(UDPCR_A_INO, left.inode));
  deaf.post(claim_of(left.inode, "k"));
  Talk talk;
  CHECK(parked_one(talk, left.inode).has(UDPCR_A_SINCE));
  CHECK(inode_of(claim(talk, left.inode).get()) == left.inode);
}
