// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_use.hpp"

#include <arpa/inet.h>

#include <catch2/catch.hpp>

#include "list.hpp"

namespace udpcr {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr pid_t kServer = 10;
constexpr pid_t kTracked = 11;
constexpr pid_t kKeeper = 12;

Address local(std::uint16_t port) {
  Address address;
  address.family = AF_INET;
  address.port = port;
  inet_pton(AF_INET, "127.0.0.1", address.bytes);
  return address;
}

ListedSocket listed(std::uint64_t inode, std::uint16_t port) {
  ListedSocket socket;
  socket.inode = inode;
  socket.family = AF_INET;
  socket.local = local(port);
  return socket;
}

keeper::ParkedSocket parked(std::uint64_t inode, std::uint16_t port, bool alive = false) {
  keeper::ParkedSocket park;
  park.record.inode = inode;
  park.record.family = AF_INET;
  park.record.local = local(port);
  park.executable = "/usr/bin/server";
  park.alive = alive;
  park.seconds = 60;
  park.holder = kKeeper;
  if (!alive) park.since = 100 * kSecond;
  return park;
}

UseSources sources(const std::vector<pid_t>& owners, bool all = true) {
  return {[owners](std::uint64_t) { return owners; }, [](pid_t pid) { return pid == kTracked; },
          [](pid_t pid) { return "/bin/p" + std::to_string(pid); }, all};
}

UsedSocket one(std::vector<ListedSocket> sockets, std::vector<keeper::ParkedSocket> parks,
               const UseSources& from) {
  const std::vector<UsedSocket> all = socket_uses(std::move(sockets), std::move(parks), from);
  REQUIRE(all.size() == 1);
  return all.front();
}

}  // namespace

TEST_CASE("the use of a socket that nobody has parked is told by its processes", "[use]") {
  CHECK(one({listed(1, 53)}, {}, sources({kServer})).use == Use::none);
  CHECK(one({listed(1, 53)}, {}, sources({kServer, kTracked})).use == Use::tracked);
  CHECK(one({listed(1, 53)}, {}, sources({})).use == Use::orphan);
  // Somebody whom this user cannot see may have it.
  CHECK(one({listed(1, 53)}, {}, sources({}, false)).use == Use::none);
  CHECK(one({listed(1, 53)}, {}, sources({kServer})).program == "/bin/p10");
}

TEST_CASE("a parked socket is listed once, and its keeper is none of its processes", "[use]") {
  const UsedSocket used = one({listed(1, 53)}, {parked(1, 53)}, sources({kKeeper}));
  CHECK(used.use == Use::parked);
  CHECK(used.processes.empty());
  CHECK(used.program == "/usr/bin/server");
  CHECK(used.socket.datagrams == 0U);

  const UsedSocket live = one({listed(1, 53)}, {parked(1, 53, true)}, sources({kKeeper, kServer}));
  CHECK(live.use == Use::parked_in_use);
  CHECK(live.processes == std::vector<pid_t>{kServer});
}

TEST_CASE("a parked socket that the kernel does not list is listed by its holder's word", "[use]") {
  keeper::ParkedSocket park = parked(7, 99);
  park.record.peer = local(1000);
  park.record.rmem = 2048;
  park.record.queue_count = 3;
  const auto all = socket_uses({listed(1, 100), listed(2, 50)}, {park}, sources({}));
  REQUIRE(all.size() == 3);
  CHECK(all[0].socket.inode == 2);
  CHECK(all[1].socket.inode == 7);
  CHECK(all[1].socket.peer == local(1000));
  CHECK(all[1].socket.memory == 2048);
  CHECK(all[1].socket.datagrams == 3U);
}

TEST_CASE("a count that nobody knows is not shown as none", "[use]") {
  keeper::ParkedSocket park = parked(1, 53);
  park.record.rmem = 2048;
  CHECK_FALSE(one({listed(1, 53)}, {park}, sources({})).socket.datagrams.has_value());
  ListedSocket socket = listed(1, 53);
  socket.datagrams = 5;
  CHECK(one({socket}, {parked(1, 53)}, sources({})).socket.datagrams == 5U);
}

TEST_CASE("a park's age and time left", "[use]") {
  const keeper::ParkedSocket park = parked(1, 53);
  CHECK(seconds_ago(park, 112 * kSecond) == 12U);
  CHECK(seconds_left(park, 112 * kSecond) == 48U);
  CHECK(seconds_ago(park, 99 * kSecond) == 0U);
  CHECK(seconds_left(park, 1000 * kSecond) == 0U);
  CHECK_FALSE(seconds_left(parked(1, 53, true), 0).has_value());
}

TEST_CASE("the list shows when a park began and when it ends", "[use]") {
  tool::Listing listing;
  listing.boottime = 112 * kSecond;
  listing.realtime = 1'000'012 * kSecond;
  listing.sockets = socket_uses({listed(1, 53)}, {parked(1, 53)}, sources({kKeeper}));
  const std::string table = tool::list_table(listing);
  for (const char* const text :
       {"STATE", "HOLDER", "parked", "keeper 12", "12s ago", "in 48s", "server"}) {
    CHECK_THAT(table, Catch::Contains(text));
  }
  const std::string json = tool::list_json(listing);
  for (const char* const text :
       {R"("state": "parked")", R"("holder": "keeper")", R"("holder_pid": 12)",
        R"("since": 1000000)", R"("expires": 1000060)", R"("seconds_left": 48)",
        R"("program": "/usr/bin/server")", R"("orphan": false)"}) {
    CHECK_THAT(json, Catch::Contains(text));
  }

  listing.sockets = socket_uses({listed(1, 53)}, {}, sources({}));
  CHECK_THAT(tool::list_table(listing), !Catch::Contains("EXPIRES"));
  CHECK_THAT(tool::list_json(listing), Catch::Contains(R"("park": null)"));
  CHECK_THAT(tool::list_json(listing), Catch::Contains(R"("orphan": true)"));
}

}  // namespace udpcr
