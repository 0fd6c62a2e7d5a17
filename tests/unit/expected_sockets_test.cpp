// SPDX-License-Identifier: LGPL-2.1-or-later
#include "expected_sockets.hpp"

#include <arpa/inet.h>

#include <catch2/catch.hpp>

namespace udpcr {
namespace {

SocketRecord record(std::uint64_t inode, std::uint16_t port) {
  SocketRecord record;
  record.inode = inode;
  record.cookie = 1000 + inode;
  record.family = AF_INET;
  record.local.family = AF_INET;
  record.local.port = port;
  inet_pton(AF_INET, "127.0.0.1", record.local.bytes);
  return record;
}

ImageSocket saved(std::uint64_t inode, std::uint16_t port, int datagrams) {
  ImageSocket socket;
  socket.record = encode_record(record(inode, port));
  for (int i = 0; i < datagrams; ++i) socket.receive_queue.append(encode_datagram({}));
  socket.losses.push_back({"cork", "9 bytes", ""});
  return socket;
}

keeper::ParkedSocket parked(std::uint64_t inode, std::uint16_t port) {
  keeper::ParkedSocket park;
  park.record = record(inode, port);
  return park;
}

ListedSocket listed(std::uint64_t inode, std::uint16_t port) {
  ListedSocket socket;
  socket.inode = inode;
  socket.family = AF_INET;
  socket.local = record(inode, port).local;
  return socket;
}

}  // namespace

TEST_CASE("what is parked lives on, and has lost nothing", "[restart]") {
  Image image;
  image.sockets = {saved(1, 53, 2), saved(2, 54, 3)};
  const auto expected = expected_sockets(image, {parked(1, 53), parked(9, 99)});
  REQUIRE(expected.size() == 3);
  CHECK(expected[0].parked);
  CHECK(expected[0].datagrams == 2);
  CHECK(image.sockets[0].losses.empty());
  CHECK_FALSE(expected[1].parked);
  CHECK(image.sockets[1].losses.size() == 1);
  // Parked, though the image does not have it.
  CHECK(expected[2].inode == 9);
  CHECK(expected[0].describe() == "127.0.0.1:53 (inode 1)");
  CHECK(expected[1].describe() == "127.0.0.1:54 (from the image)");
}

TEST_CASE("an inode that is used again is not the parked socket", "[restart]") {
  Image image;
  image.sockets = {saved(1, 53, 0)};
  keeper::ParkedSocket other = parked(1, 80);
  other.record.cookie = 7;
  const auto expected = expected_sockets(image, {other});
  REQUIRE(expected.size() == 2);
  CHECK_FALSE(expected[0].parked);
}

TEST_CASE("a parked socket is found by inode, one from the image by its address", "[restart]") {
  Image image;
  image.sockets = {saved(1, 53, 2), saved(2, 54, 1), saved(3, 54, 1)};
  auto expected = expected_sockets(image, {parked(1, 53)});
  CHECK(carried_over(expected) == "0 sockets, 0 queued datagrams");
  // A socket with the parked one's address is not that one.
  const auto nobody = [](std::uint64_t) { return std::vector<pid_t>{}; };
  find_expected(expected, {listed(8, 53), listed(21, 54)}, nobody);
  CHECK(expected[0].pid == 0);
  const auto owners = [](std::uint64_t inode) {
    return inode == 1 ? std::vector<pid_t>{} : std::vector<pid_t>{pid_t(inode)};
  };
  find_expected(expected, {listed(8, 53), listed(21, 54)}, owners);
  CHECK(expected[0].pid == 0);
  // Two of the image are not one and the same socket.
  CHECK(expected[1].pid == 21);
  CHECK(expected[2].pid == 0);
  CHECK(carried_over(expected) == "1 socket, 1 queued datagram");
  const auto all = [](std::uint64_t inode) { return std::vector<pid_t>{pid_t(inode)}; };
  find_expected(expected, {listed(21, 54)}, all);
  CHECK(expected[0].pid == 1);
  CHECK(expected[2].pid == 0);
  find_expected(expected, {listed(21, 54), listed(22, 54)}, all);
  CHECK(expected[2].pid == 22);
}

}  // namespace udpcr
