// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/fsuid.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>

#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

constexpr unsigned kUser = 1000;
constexpr unsigned kOther = 2000;

// Every request that names a socket.
std::vector<std::pair<Request, bool>> all_requests(std::uint64_t inode, int fd) {
  std::vector<std::pair<Request, bool>> all;
  const auto named = [&](std::uint8_t command) {
    Request request(command);
    request.u64(UDPCR_A_INO, inode);
    if (fd >= 0) request.u32(UDPCR_A_FD, static_cast<std::uint32_t>(fd));
    return request;
  };
  all.emplace_back(named(UDPCR_CMD_SOCKET), false);
  all.emplace_back(named(UDPCR_CMD_QUEUE).u32(UDPCR_A_QUEUE, UDPCR_QUEUE_RECEIVE), true);
  all.emplace_back(named(UDPCR_CMD_QUEUE).u32(UDPCR_A_QUEUE, UDPCR_QUEUE_ERROR), true);
  all.emplace_back(named(UDPCR_CMD_QUEUE).u32(UDPCR_A_QUEUE, UDPCR_QUEUE_SEND), true);
  all.emplace_back(named(UDPCR_CMD_TAKE).u32(UDPCR_A_HANDLE, 1), false);
  all.emplace_back(named(UDPCR_CMD_STAGE).u32(UDPCR_A_HANDLE, 2), false);
  all.emplace_back(named(UDPCR_CMD_OPEN), false);
  all.emplace_back(named(UDPCR_CMD_SET).u32(UDPCR_A_DROPS, 7), false);
  return all;
}

void all_refused(Talk& talk, std::uint64_t inode, int fd, int error,
                 std::initializer_list<std::string> words) {
  for (const auto& [request, dump] : all_requests(inode, fd)) {
    const std::string wrong = unlike(dump ? talk.dump(request) : talk.ask(request), error, words);
    demand(wrong.empty(), "command " + std::to_string(request.command()) + ": " + wrong);
  }
}

void all_allowed(Talk& talk, std::uint64_t inode, int fd) {
  for (const auto& [request, dump] : all_requests(inode, fd)) {
    const Answer answer = dump ? talk.dump(request) : talk.ask(request);
    demand(answer.error == 0,
           "command " + std::to_string(request.command()) + ": " + to_string(answer));
    if (request.command() == UDPCR_CMD_OPEN)
      ::close(static_cast<int>(answer.one().u32(UDPCR_A_FD)));
  }
}

}  // namespace

TEST_CASE("rights: another user's socket gives EPERM, for every command", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const std::uint64_t inode = inode_of(fd.get());
  CHECK(in_child([&] {
          become_user(kUser);
          Talk talk;
          // The fd was inherited, and is not enough.
          all_refused(talk, inode, fd.get(), EPERM,
                      {std::to_string(inode), "user 0", "CAP_NET_ADMIN"});
          ::close(fd.get());
          all_refused(talk, inode, -1, EPERM, {std::to_string(inode), "CAP_NET_ADMIN"});
        }) == "");
}

TEST_CASE("rights: an own socket needs no privilege, for every command", "[smoke]") {
  const std::string where = GENERATE("", "127.0.0.1", "::");
  CHECK(in_child([&] {
          become_user(kUser);
          const UniqueFd fd = where.empty() ? unbound(AF_INET) : socket_at(address(where));
          Talk talk;
          all_allowed(talk, inode_of(fd.get()), fd.get());
          Talk again;
          all_allowed(again, inode_of(fd.get()), -1);
        }) == "");
}

TEST_CASE("rights: the socket's owner or its file's opener is its user") {
  // fchown changes the owner; the opener's fsuid stays with the file.
  const UniqueFd given = socket_at(address("127.0.0.1"));
  REQUIRE(::fchown(given.get(), kUser, kUser) == 0);
  ::setfsuid(kUser);
  const UniqueFd opened = socket_at(address("127.0.0.1"));
  ::setfsuid(0);
  REQUIRE(::fchown(opened.get(), kOther, kOther) == 0);
  CHECK(in_child([&] {
          become_user(kUser);
          Talk talk;
          all_allowed(talk, inode_of(given.get()), given.get());
          Talk again;
          all_allowed(again, inode_of(opened.get()), opened.get());
        }) == "");
  CHECK(in_child([&] {
          become_user(kOther);
          Talk talk;
          all_allowed(talk, inode_of(opened.get()), opened.get());
          all_refused(talk, inode_of(given.get()), given.get(), EPERM, {"user 1000"});
        }) == "");
}

TEST_CASE("rights: the opener of the netlink socket counts as well as the caller") {
  const UniqueFd roots = socket_at(address("127.0.0.1"));
  const Pair through = pair();
  Talk roots_talk;
  CHECK(in_child([&] {
          become_user(kUser);
          const UniqueFd own = socket_at(address("127.0.0.1"));
          // A socket of root's lends a user nothing, not even what is his own.
          all_refused(roots_talk, inode_of(own.get()), own.get(), EPERM, {"CAP_NET_ADMIN"});
          all_refused(roots_talk, inode_of(roots.get()), roots.get(), EPERM, {"CAP_NET_ADMIN"});
        }) == "");
  // And a user's, slipped to root as something to write to, does nothing that
  // the user could not.
  CHECK(in_child([&] {
          demand(::seteuid(kUser) == 0, "seteuid");
          Talk users;
          users.send_by_write();
          demand(::seteuid(0) == 0, "seteuid");
          all_refused(users, inode_of(roots.get()), roots.get(), EPERM, {"CAP_NET_ADMIN"});
        }) == "");
}

TEST_CASE("rights: CAP_NET_ADMIN in a user namespace of one's own reaches its own network only",
          "[smoke]") {
  const UniqueFd roots = socket_at(address("127.0.0.1"));
  const std::uint64_t inode = inode_of(roots.get());
  CHECK(in_child([&] {
          become_user(kUser);
          enter_own_namespaces();
          Talk talk;
          // Held by nobody's fd here: only the capability makes it visible.
          const Pair through = pair();
          std::uint64_t own = 0;
          {
            const UniqueFd fd = socket_at(address("0.0.0.0"));
            own = inode_of(fd.get());
            send_fd(through.ends[0].get(), fd.get());
          }
          const Message record = talk.must(Request(UDPCR_CMD_SOCKET).u64(UDPCR_A_INO, own)).one();
          // The owner is told in the reader's user namespace.
          demand(record.u32(UDPCR_A_UID) == 0, "the owner is not 0 in here");
          const auto listed = talk.must_dump(Request(UDPCR_CMD_SOCKET));
          demand(listed.size() == 1 && listed[0].u64(UDPCR_A_INO) == own, "not only the own one");
          // Root's socket of the other network: not by its fd, not by its inode.
          all_refused(talk, inode, roots.get(), EPERM, {std::to_string(inode), "CAP_NET_ADMIN"});
          ::close(roots.get());
          all_refused(talk, inode, -1, ENOENT, {std::to_string(inode)});
        }) == "");
}

TEST_CASE("rights: an owner that the reader's user namespace does not know") {
  const UniqueFd roots = socket_at(address("127.0.0.1"));
  REQUIRE(::fchown(roots.get(), kOther, kOther) == 0);
  CHECK(in_child([&] {
          // Root in here is root outside: it opened the socket.
          enter_own_namespaces();
          Talk talk;
          const std::uint32_t uid = talk.record(roots.get()).u32(UDPCR_A_UID);
          demand(uid == 65534, "the owner is " + std::to_string(uid));
        }) == "");
}

TEST_CASE("rights: the dump of all sockets needs CAP_NET_ADMIN", "[smoke]") {
  CHECK(in_child([] {
          become_user(kUser);
          const UniqueFd own = socket_at(address("127.0.0.1"));
          Talk talk;
          demand_like(talk.dump(Request(UDPCR_CMD_SOCKET)), EPERM, {"CAP_NET_ADMIN"});
        }) == "");
}
