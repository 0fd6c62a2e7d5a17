// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper/restore_order.hpp"

#include <sys/socket.h>

#include <catch2/catch.hpp>

using namespace udpcr;
using keeper::restore_order;

namespace {

SocketRecord plain(std::uint64_t inode) {
  SocketRecord record;
  record.inode = inode;
  return record;
}

SocketRecord member(std::uint64_t inode, std::optional<std::uint32_t> index = {}) {
  SocketRecord record = plain(inode);
  record.options.push_back({SOL_SOCKET, SO_REUSEPORT, Bytes{1, 0, 0, 0}});
  record.reuseport_index = index;
  return record;
}

using Order = std::vector<std::size_t>;

}  // namespace

TEST_CASE("restore order: a group's, others stay in their places", "[order]") {
  CHECK(restore_order({}).empty());
  CHECK(restore_order({plain(3), plain(2), plain(1)}) == Order{0, 1, 2});
  CHECK(restore_order({member(1, 2), plain(9), member(2, 0), plain(8), member(3, 1)}) ==
        Order{2, 1, 4, 3, 0});
}

TEST_CASE("restore order: by inode where the group's is not known", "[order]") {
  CHECK(restore_order({member(30), plain(9), member(10), member(20)}) == Order{2, 1, 3, 0});
}
