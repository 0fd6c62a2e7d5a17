// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Requests that are not in order: each is refused with a sentence, and nothing
// has happened.
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "kernel_numbers.hpp"
#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

Attrs only(std::uint16_t type, const Bytes& value) {
  Attrs result;
  result.all.push_back({type, value});
  return result;
}

}  // namespace

TEST_CASE("refused: an attribute that is missing", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SOCKET)), EINVAL, {"UDPCR_A_INO"}) == "");
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SOCKET).u32(UDPCR_A_FD, fd.get())), EINVAL,
               {"UDPCR_A_INO"}) == "");
  CHECK(unlike(talk.dump(Request(UDPCR_CMD_QUEUE)), EINVAL, {"UDPCR_A_INO"}) == "");
  for (const std::uint8_t command : {UDPCR_CMD_TAKE, UDPCR_CMD_STAGE}) {
    CHECK(unlike(talk.ask(Request(command).socket(fd.get())), EINVAL, {"UDPCR_A_HANDLE"}) == "");
    CHECK(unlike(talk.ask(Request(command).u32(UDPCR_A_HANDLE, 1)), EINVAL, {"UDPCR_A_INO"}) == "");
  }
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_OPEN)), EINVAL, {"UDPCR_A_INO"}) == "");
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SET).u32(UDPCR_A_DROPS, 1)), EINVAL, {"UDPCR_A_INO"}) ==
        "");
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SET).socket(fd.get())), EINVAL, {"UDPCR_A_DROPS"}) == "");
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_PUT).u32(UDPCR_A_POSITION, 0)), EINVAL,
               {"UDPCR_A_HANDLE"}) == "");
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_DROP)), EINVAL, {"UDPCR_A_HANDLE"}) == "");
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_DATAGRAM).bytes(UDPCR_A_PAYLOAD, {})), EINVAL,
               {"UDPCR_A_HANDLE"}) == "");
  talk.stage(fd.get(), 1);
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_PUT).u32(UDPCR_A_HANDLE, 1)), EINVAL,
               {"UDPCR_A_POSITION"}) == "");
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_DATAGRAM).u32(UDPCR_A_HANDLE, 1)), EINVAL,
               {"UDPCR_A_PAYLOAD"}) == "");
  CHECK(talk.held(1).empty());
}

TEST_CASE("refused: every request that names a socket takes the cookie as proof") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  REQUIRE(::getsockopt(fd.get(), SOL_SOCKET, kSoCookie, &cookie, &size) == 0);
  Talk talk;
  std::uint32_t handle = 0;
  for (const std::uint8_t command : {UDPCR_CMD_SOCKET, UDPCR_CMD_QUEUE, UDPCR_CMD_TAKE,
                                     UDPCR_CMD_STAGE, UDPCR_CMD_OPEN, UDPCR_CMD_SET}) {
    for (const bool right : {false, true}) {
      Request request(command);
      request.socket(fd.get()).u64(UDPCR_A_COOKIE, cookie + (right ? 0 : 1));
      if (command == UDPCR_CMD_TAKE || command == UDPCR_CMD_STAGE) {
        request.u32(UDPCR_A_HANDLE, ++handle);
      }
      if (command == UDPCR_CMD_SET) request.u32(UDPCR_A_DROPS, 3);
      const Answer answer = command == UDPCR_CMD_QUEUE ? talk.dump(request) : talk.ask(request);
      INFO("command " << int{command} << (right ? ", right" : ", wrong"));
      if (right) {
        CHECK(to_string(answer) == "0: ");
      } else {
        CHECK(unlike(answer, ESTALE, {std::to_string(cookie + 1)}) == "");
      }
      if (right && command == UDPCR_CMD_OPEN) {
        ::close(static_cast<int>(answer.one().u32(UDPCR_A_FD)));
      }
    }
  }
}

TEST_CASE("refused: an attribute of a wrong length, for each of every command") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  talk.stage(fd.get(), 1);
  struct Case {
    std::uint8_t command;
    bool dump;
    std::uint16_t type;
    std::vector<std::size_t> sizes;
  };
  std::vector<Case> cases;
  for (const std::uint8_t command : {UDPCR_CMD_SOCKET, UDPCR_CMD_OPEN, UDPCR_CMD_TAKE,
                                     UDPCR_CMD_STAGE, UDPCR_CMD_SET, UDPCR_CMD_QUEUE}) {
    const bool dump = command == UDPCR_CMD_QUEUE;
    cases.push_back({command, dump, UDPCR_A_INO, {0, 4, 7, 9}});
    cases.push_back({command, dump, UDPCR_A_FD, {0, 3, 8}});
    cases.push_back({command, dump, UDPCR_A_COOKIE, {0, 4, 9}});
  }
  for (const std::uint8_t command :
       {UDPCR_CMD_TAKE, UDPCR_CMD_STAGE, UDPCR_CMD_DATAGRAM, UDPCR_CMD_PUT, UDPCR_CMD_DROP}) {
    cases.push_back({command, false, UDPCR_A_HANDLE, {0, 2, 8}});
  }
  cases.push_back({UDPCR_CMD_QUEUE, true, UDPCR_A_HANDLE, {0, 2, 8}});
  cases.push_back({UDPCR_CMD_QUEUE, true, UDPCR_A_QUEUE, {0, 1, 8}});
  cases.push_back({UDPCR_CMD_PUT, false, UDPCR_A_POSITION, {0, 1, 8}});
  cases.push_back({UDPCR_CMD_STAGE, false, UDPCR_A_QUEUE, {0, 1, 8}});
  for (const std::uint16_t type :
       {UDPCR_A_DROPS, UDPCR_A_ERROR, UDPCR_A_TSKEY, UDPCR_A_SOCK_FLAGS}) {
    cases.push_back({UDPCR_CMD_SET, false, type, {0, 2, 8}});
  }
  for (const std::uint16_t type : {UDPCR_A_SRC_ADDR, UDPCR_A_DST_ADDR}) {
    cases.push_back({UDPCR_CMD_DATAGRAM, false, type, {0, 3, 5, 8, 15, 17}});
  }
  for (const std::uint16_t type :
       {UDPCR_A_SRC_PORT, UDPCR_A_DST_PORT, UDPCR_A_GSO_SIZE, UDPCR_A_FRAG_SIZE}) {
    cases.push_back({UDPCR_CMD_DATAGRAM, false, type, {0, 1, 4}});
  }
  for (const std::uint16_t type :
       {UDPCR_A_SRC_SCOPE, UDPCR_A_IFINDEX, UDPCR_A_MARK, UDPCR_A_FLOW_LABEL, UDPCR_A_PRIORITY}) {
    cases.push_back({UDPCR_CMD_DATAGRAM, false, type, {0, 2, 8}});
  }
  for (const std::uint16_t type : {UDPCR_A_TOS, UDPCR_A_TTL, UDPCR_A_NEXT_HEADER}) {
    cases.push_back({UDPCR_CMD_DATAGRAM, false, type, {0, 2, 4}});
  }
  cases.push_back({UDPCR_CMD_DATAGRAM, false, UDPCR_A_TSTAMP, {0, 4, 9}});
  cases.push_back({UDPCR_CMD_DATAGRAM, false, UDPCR_A_SPEC_DST, {0, 3, 5, 16}});
  cases.push_back({UDPCR_CMD_DATAGRAM, false, UDPCR_A_PEEKED, {1, 4}});
  cases.push_back({UDPCR_CMD_DATAGRAM, false, UDPCR_A_ERRMSG, {1, 3, 8}});
  cases.push_back(
      {UDPCR_CMD_DATAGRAM, false, UDPCR_A_IP_OPTIONS, {1, 41, 44, UDPCR_MAX_IP_OPTIONS + 1}});
  cases.push_back({UDPCR_CMD_DATAGRAM, false, UDPCR_A_PAYLOAD, {UDPCR_MAX_PAYLOAD + 1, 65531}});
  for (const Case& one : cases) {
    for (const std::size_t size : one.sizes) {
      Request request(one.command);
      const auto add = [&](std::uint16_t type, const Bytes& value) {
        if (type != one.type) request.bytes(type, value);
      };
      // The rest of the request is in order.
      const std::uint64_t inode = inode_of(fd.get());
      const auto* raw = reinterpret_cast<const std::uint8_t*>(&inode);
      const bool lists = one.command == UDPCR_CMD_DATAGRAM || one.command == UDPCR_CMD_PUT ||
                         one.command == UDPCR_CMD_DROP;
      if (!lists && !(one.dump && one.type == UDPCR_A_HANDLE))
        add(UDPCR_A_INO, Bytes(raw, raw + 8));
      if (lists) add(UDPCR_A_HANDLE, {1, 0, 0, 0});
      if (one.command == UDPCR_CMD_TAKE || one.command == UDPCR_CMD_STAGE) {
        add(UDPCR_A_HANDLE, {2, 0, 0, 0});
      }
      if (one.command == UDPCR_CMD_PUT) add(UDPCR_A_POSITION, {0, 0, 0, 0});
      if (one.command == UDPCR_CMD_DATAGRAM) add(UDPCR_A_PAYLOAD, {1});
      if (one.command == UDPCR_CMD_SET) add(UDPCR_A_DROPS, {1, 0, 0, 0});
      request.bytes(one.type, Bytes(size, 1));
      const Answer answer = one.dump ? talk.dump(request) : talk.ask(request);
      INFO("command " << int{one.command} << ", attribute " << one.type << " of " << size
                      << " bytes: " << to_string(answer));
      // The policy says ERANGE of a length, and of a value.
      CHECK((answer.error == EINVAL || answer.error == ERANGE));
      CHECK_FALSE(answer.sentence.empty());
    }
  }
  CHECK(talk.held(1).empty());
  CHECK(dropped(fd.get()) == 0);
}

TEST_CASE("refused: an attribute that the command does not have, or nobody knows", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  talk.stage(fd.get(), 1);
  const auto datagram = [] {
    return Request(UDPCR_CMD_DATAGRAM).u32(UDPCR_A_HANDLE, 1).bytes(UDPCR_A_PAYLOAD, {});
  };
  // A later version's; what an older module refuses is told by its policy.
  CHECK(unlike(talk.ask(datagram().u32(UDPCR_A_MAX + 1, 0)), EINVAL) == "");
  CHECK(unlike(talk.ask(datagram().u32(1000, 0)), EINVAL) == "");
  for (const std::uint16_t type : {UDPCR_A_UID, UDPCR_A_ERRMSG, UDPCR_A_INO, UDPCR_A_QUEUE}) {
    INFO(type);
    CHECK(unlike(talk.ask(datagram().bytes(type, Bytes(8, 0))), EINVAL) == "");
  }
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SOCKET).socket(fd.get()).u32(UDPCR_A_HANDLE, 1)),
               EINVAL) == "");
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SET).socket(fd.get()).u32(UDPCR_A_UID, 1)), EINVAL) ==
        "");
  CHECK(talk.held(1).empty());
}

TEST_CASE("refused: attributes that do not go together, values that are none", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd six = socket_at(address("::"));
  Talk talk;
  talk.stage(fd.get(), 1);
  talk.stage(six.get(), 2);
  const auto datagram = [](std::uint32_t handle) {
    return Request(UDPCR_CMD_DATAGRAM).u32(UDPCR_A_HANDLE, handle).bytes(UDPCR_A_PAYLOAD, {1});
  };
  const Bytes v4(4, 10);
  const Bytes v6(16, 10);
  // Two families; a family that the socket has not.
  CHECK(unlike(talk.ask(datagram(2).bytes(UDPCR_A_SRC_ADDR, v4).bytes(UDPCR_A_DST_ADDR, v6)),
               EINVAL) == "");
  CHECK(unlike(talk.ask(datagram(1).bytes(UDPCR_A_SRC_ADDR, v6)), EINVAL) == "");
  CHECK(unlike(talk.ask(datagram(1).bytes(UDPCR_A_DST_ADDR, v6)), EINVAL) == "");
  CHECK(talk.ask(datagram(2).bytes(UDPCR_A_SRC_ADDR, v4)).error == 0);
  // A list or a socket's queue.
  CHECK(unlike(talk.dump(Request(UDPCR_CMD_QUEUE).socket(fd.get()).u32(UDPCR_A_HANDLE, 1)), EINVAL,
               {"UDPCR_A_HANDLE"}) == "");
  const auto queue = [&](std::uint32_t which) {
    return talk.dump(Request(UDPCR_CMD_QUEUE).socket(fd.get()).u32(UDPCR_A_QUEUE, which));
  };
  CHECK((queue(UDPCR_QUEUE_MAX + 1).error == ERANGE || queue(UDPCR_QUEUE_MAX + 1).error == EINVAL));
  const auto put = [&](std::uint32_t position) {
    return talk.ask(Request(UDPCR_CMD_PUT).u32(UDPCR_A_HANDLE, 1).u32(UDPCR_A_POSITION, position));
  };
  CHECK(
      (put(UDPCR_POSITION_MAX + 1).error == ERANGE || put(UDPCR_POSITION_MAX + 1).error == EINVAL));
  // The dump of all sockets names none.
  CHECK(unlike(talk.dump(Request(UDPCR_CMD_SOCKET).socket(fd.get())), EINVAL) == "");
  CHECK(talk.held(1).empty());
}

TEST_CASE("refused: an IPv4 datagram for a socket that is IPv6 only") {
  const UniqueFd fd = unbound(AF_INET6);
  set(fd.get(), SOL_IPV6, IPV6_V6ONLY, 1);
  Talk talk;
  talk.stage(fd.get(), 1);
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_DATAGRAM)
                            .u32(UDPCR_A_HANDLE, 1)
                            .bytes(UDPCR_A_SRC_ADDR, Bytes(4, 1))
                            .bytes(UDPCR_A_PAYLOAD, {1})),
               EINVAL) == "");
}

TEST_CASE("refused: commands that are none, do for dump, dump for do") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  for (const int command : {int{UDPCR_CMD_UNSPEC}, UDPCR_CMD_MAX + 1, 255}) {
    CHECK(talk.ask(Request(static_cast<std::uint8_t>(command))).error == EOPNOTSUPP);
  }
  CHECK(talk.ask(Request(UDPCR_CMD_QUEUE).socket(fd.get())).error == EOPNOTSUPP);
  for (const std::uint8_t command :
       {UDPCR_CMD_TAKE, UDPCR_CMD_PUT, UDPCR_CMD_DATAGRAM, UDPCR_CMD_OPEN}) {
    CHECK(talk.dump(Request(command)).error == EOPNOTSUPP);
  }
}

TEST_CASE("refused: a broken attribute stream") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  talk.stage(fd.get(), 1);
  // A payload whose length says more than there is is cut by the kernel's parser.
  Request request(UDPCR_CMD_DATAGRAM);
  request.u32(UDPCR_A_HANDLE, 1).bytes(UDPCR_A_PAYLOAD, Bytes(100, 1));
  auto& raw = const_cast<Bytes&>(request.payload());
  raw.resize(raw.size() - 40);
  CHECK(talk.ask(request).error == EINVAL);
  CHECK(talk.held(1).empty());
  // A value that comes nested, where it is not.
  CHECK(talk.ask(Request(UDPCR_CMD_DATAGRAM)
                     .u32(UDPCR_A_HANDLE, 1)
                     .copy(only(UDPCR_A_PAYLOAD | 0x8000, {1, 2, 3})))
            .error == EINVAL);
}
