// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <optional>

#include "kernel_numbers.hpp"
#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

std::uint64_t cookie_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(fd, SOL_SOCKET, kSoCookie, &cookie, &size) != 0)
    throw std::runtime_error("cookie");
  return cookie;
}

Request by_inode(std::uint64_t inode) { return Request(UDPCR_CMD_SOCKET).u64(UDPCR_A_INO, inode); }

}  // namespace

TEST_CASE("lookup: an own socket, bound or not, by fd and by inode", "[smoke]") {
  const std::string where = GENERATE("", "0.0.0.0", "127.0.0.1", "::", "::1");
  const UniqueFd fd = where.empty() ? unbound(AF_INET) : socket_at(address(where));
  const std::uint64_t inode = inode_of(fd.get());
  Talk talk;
  CHECK(talk.must(Request(UDPCR_CMD_SOCKET).socket(fd.get())).one().u64(UDPCR_A_INO) == inode);
  CHECK(talk.must(by_inode(inode)).one().u64(UDPCR_A_INO) == inode);
  const std::uint64_t cookie = cookie_of(fd.get());
  CHECK(talk.must(by_inode(inode).u64(UDPCR_A_COOKIE, cookie)).one().u64(UDPCR_A_COOKIE) == cookie);
}

TEST_CASE("lookup: another process's bound socket, with CAP_NET_ADMIN", "[smoke]") {
  const std::string where = GENERATE("127.0.0.1", "::", "fd00:9::1");
  const Holder holder([&] { return socket_at(address(where)); });
  Talk talk;
  const Message record = talk.must(by_inode(holder.inode())).one();
  CHECK(record.u64(UDPCR_A_INO) == holder.inode());
  CHECK(record.port(UDPCR_A_LOCAL_PORT) != 0);
}

TEST_CASE("lookup: another process's socket that is not bound cannot be found") {
  const Holder holder([] { return unbound(AF_INET); });
  Talk talk;
  CHECK(unlike(talk.ask(by_inode(holder.inode())), ENOENT, {std::to_string(holder.inode())}) == "");
}

TEST_CASE("lookup: an orphan, to which only a message under way refers", "[smoke]") {
  const Pair through = pair();
  std::uint64_t inode = 0;
  const UniqueFd sender = unbound(AF_INET);
  {
    const UniqueFd fd = socket_at(address("127.0.0.1"));
    inode = inode_of(fd.get());
    send_to(sender.get(), local_of(fd.get()), "waits in an orphan");
    send_fd(through.ends[0].get(), fd.get());
  }
  Talk talk;
  CHECK(talk.must(by_inode(inode)).one().u32(UDPCR_A_QUEUE_COUNT) == 1);
  const auto queue = talk.must_dump(Request(UDPCR_CMD_QUEUE).u64(UDPCR_A_INO, inode));
  REQUIRE(queue.size() == 1);
  CHECK(text(queue[0].bytes(UDPCR_A_PAYLOAD)) == "waits in an orphan");
  bool listed = false;
  for (const Message& one : talk.must_dump(Request(UDPCR_CMD_SOCKET))) {
    listed = listed || one.u64(UDPCR_A_INO) == inode;
  }
  CHECK(listed);
  // It is a whole socket still, and gone for good once its last reference goes.
  UniqueFd back = receive_fd(through.ends[1].get());
  CHECK(inode_of(back.get()) == inode);
  CHECK(texts(receive_all(back.get())) == std::vector<std::string>{"waits in an orphan"});
  back.reset();
  CHECK(unlike(talk.ask(by_inode(inode)), ENOENT, {std::to_string(inode)}) == "");
}

TEST_CASE("lookup: an inode that is nobody's gives ENOENT", "[smoke]") {
  Talk talk;
  CHECK(unlike(talk.ask(by_inode(999999999999)), ENOENT, {"999999999999"}) == "");
  CHECK(unlike(talk.ask(by_inode(0)), ENOENT, {"inode 0"}) == "");
}

TEST_CASE("lookup: a cookie or an fd of another socket gives ESTALE", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd other = socket_at(address("127.0.0.1"));
  const std::uint64_t wrong = cookie_of(other.get());
  (void)cookie_of(fd.get());
  Talk talk;
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SOCKET).socket(fd.get()).u64(UDPCR_A_COOKIE, wrong)),
               ESTALE, {std::to_string(inode_of(fd.get())), std::to_string(wrong)}) == "");
  CHECK(unlike(talk.ask(by_inode(inode_of(fd.get())).u32(UDPCR_A_FD, other.get())), ESTALE,
               {"fd " + std::to_string(other.get()), std::to_string(inode_of(fd.get()))}) == "");
}

TEST_CASE("lookup: a cookie that was never asked for is not taken for a proof") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SOCKET).socket(fd.get()).u64(UDPCR_A_COOKIE, 12345)),
               ESTALE, {"12345"}) == "");
}

TEST_CASE("lookup: fds that are not open, or no sockets", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const Request request = by_inode(inode_of(fd.get()));
  Talk talk;
  CHECK(unlike(talk.ask(Request(request).u32(UDPCR_A_FD, 999)), EBADF, {"fd 999"}) == "");
  CHECK(unlike(talk.ask(Request(request).u32(UDPCR_A_FD, 0xffffffff)), EBADF) == "");
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(unlike(talk.ask(Request(request).u32(UDPCR_A_FD, file.get())), ENOTSOCK,
               {"fd " + std::to_string(file.get())}) == "");
}

TEST_CASE("lookup: sockets that are not UDP give EPROTOTYPE", "[smoke]") {
  struct Kind {
    int family, type, protocol;
  };
  const Kind kind = GENERATE(values<Kind>({{AF_INET, SOCK_STREAM, 0},
                                           {AF_INET6, SOCK_STREAM, 0},
                                           {AF_UNIX, SOCK_DGRAM, 0},
                                           {AF_NETLINK, SOCK_RAW, 0},
                                           {AF_INET, SOCK_RAW, IPPROTO_UDP},
                                           {AF_INET6, SOCK_RAW, IPPROTO_UDP},
                                           {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}}));
  // Ping sockets are for the groups of this range only.
  const Setting ping("/proc/sys/net/ipv4/ping_group_range", "0 0");
  const UniqueFd fd(::socket(kind.family, kind.type | SOCK_CLOEXEC, kind.protocol));
  CAPTURE(kind.family, kind.type, kind.protocol);
  REQUIRE(fd);
  Talk talk;
  const std::string inode = std::to_string(inode_of(fd.get()));
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SOCKET).socket(fd.get())), EPROTOTYPE, {inode}) == "");
  CHECK(unlike(talk.ask(by_inode(inode_of(fd.get()))), EPROTOTYPE, {inode}) == "");
}

TEST_CASE("lookup: the namespace is the one in which the netlink socket was made", "[smoke]") {
  const Pair through = pair();
  std::uint64_t inode = 0;
  std::optional<Talk> far;
  {
    const In there(Net::far);
    const UniqueFd fd = socket_at(address("10.9.0.2"));
    inode = inode_of(fd.get());
    send_fd(through.ends[0].get(), fd.get());
    far.emplace();
  }
  Talk near;
  CHECK(unlike(near.ask(by_inode(inode)), ENOENT, {std::to_string(inode), "namespace"}) == "");
  CHECK(far->must(by_inode(inode)).one().u64(UDPCR_A_INO) == inode);
  // An own fd is proof enough, wherever the socket lives.
  const UniqueFd back = receive_fd(through.ends[1].get());
  CHECK(near.must(by_inode(inode)).one().u64(UDPCR_A_INO) == inode);
  CHECK(near.must(Request(UDPCR_CMD_SOCKET).socket(back.get())).one().u64(UDPCR_A_INO) == inode);
}

TEST_CASE("open: a new close-on-exec fd of the same socket", "[smoke]") {
  const bool own = GENERATE(true, false);
  const Pair through = pair();
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const std::uint64_t inode = inode_of(fd.get());
  send_fd(through.ends[0].get(), fd.get());
  if (!own) fd.reset();
  Talk talk;
  const Message reply = talk.must(Request(UDPCR_CMD_OPEN).u64(UDPCR_A_INO, inode)).one();
  const UniqueFd opened(static_cast<int>(reply.u32(UDPCR_A_FD)));
  CHECK(reply.u64(UDPCR_A_INO) == inode);
  CHECK(opened.get() != fd.get());
  CHECK(inode_of(opened.get()) == inode);
  CHECK(::fcntl(opened.get(), F_GETFD) == FD_CLOEXEC);
  // The same open file: flags are shared.
  REQUIRE(::fcntl(opened.get(), F_SETFL, O_NONBLOCK) == 0);
  const UniqueFd back = receive_fd(through.ends[1].get());
  CHECK((::fcntl(back.get(), F_GETFL) & O_NONBLOCK) != 0);
  const Address local = local_of(opened.get());
  const UniqueFd sender = unbound(AF_INET);
  send_to(sender.get(), local, "to both");
  CHECK(texts(receive_all(opened.get())) == std::vector<std::string>{"to both"});
}

TEST_CASE("open: a caller without room for an fd is told so") {
  const std::string said = in_child([] {
    const UniqueFd fd = socket_at(address("127.0.0.1"));
    Talk talk;
    // fds below the limit are all taken.
    std::vector<UniqueFd> more;
    const rlimit limit{64, 64};
    demand(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    for (int one = 0; (one = ::dup(0)) >= 0;) more.emplace_back(one);
    demand_like(talk.ask(Request(UDPCR_CMD_OPEN).socket(fd.get())), EMFILE);
    more.pop_back();
    talk.must(Request(UDPCR_CMD_OPEN).socket(fd.get()));
  });
  CHECK(said == "");
}
