// SPDX-License-Identifier: LGPL-2.1-or-later
#include "expected_sockets.hpp"

#include <algorithm>

namespace udpcr {
namespace {

std::string counted(std::size_t count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

ExpectedSocket from_record(const SocketRecord& record) {
  ExpectedSocket expected;
  expected.inode = record.inode;
  expected.family = record.family;
  expected.protocol = record.protocol;
  expected.local = record.local;
  return expected;
}

bool looks_like(const ListedSocket& socket, const ExpectedSocket& expected) {
  return socket.family == expected.family && socket.protocol == expected.protocol &&
         socket.local == expected.local;
}

}  // namespace

std::string ExpectedSocket::describe() const {
  return to_string(local) + " (" + (parked ? "inode " + std::to_string(inode) : "from the image") +
         ")";
}

std::vector<ExpectedSocket> expected_sockets(Image& image,
                                             const std::vector<keeper::ParkedSocket>& parked) {
  std::vector<ExpectedSocket> all;
  std::vector<std::uint16_t> unknown;
  for (ImageSocket& socket : image.sockets) {
    const SocketRecord record = decode_record(socket.record, unknown);
    ExpectedSocket expected = from_record(record);
    expected.datagrams = socket.receive_queue.count();
    expected.parked = std::any_of(parked.begin(), parked.end(), [&](const auto& park) {
      return park.record.cookie == record.cookie && park.record.inode == record.inode;
    });
    if (expected.parked) socket.losses.clear();
    all.push_back(expected);
  }
  for (const keeper::ParkedSocket& park : parked) {
    const bool known = std::any_of(all.begin(), all.end(), [&](const ExpectedSocket& one) {
      return one.parked && one.inode == park.record.inode;
    });
    if (known) continue;
    ExpectedSocket expected = from_record(park.record);
    expected.parked = true;
    expected.datagrams = park.record.queue_count;
    all.push_back(expected);
  }
  return all;
}

void find_expected(std::vector<ExpectedSocket>& expected, const std::vector<ListedSocket>& listed,
                   const std::function<std::vector<pid_t>(std::uint64_t)>& owners) {
  // Of equal ones each counts once.
  const auto is_counted = [&](std::uint64_t inode) {
    return std::any_of(expected.begin(), expected.end(), [&](const ExpectedSocket& other) {
      return other.pid != 0 && other.has == inode;
    });
  };
  for (ExpectedSocket& one : expected) {
    if (one.pid != 0) continue;
    std::vector<std::uint64_t> candidates;
    if (one.parked) {
      candidates.push_back(one.inode);
    } else {
      for (const ListedSocket& socket : listed) {
        if (looks_like(socket, one)) candidates.push_back(socket.inode);
      }
    }
    for (const std::uint64_t inode : candidates) {
      if (is_counted(inode)) continue;
      const std::vector<pid_t> pids = owners(inode);
      if (pids.empty()) continue;
      one.pid = pids.front();
      one.has = inode;
      break;
    }
  }
}

std::string carried_over(const std::vector<ExpectedSocket>& expected) {
  std::size_t sockets = 0;
  std::size_t datagrams = 0;
  for (const ExpectedSocket& one : expected) {
    if (one.pid == 0) continue;
    ++sockets;
    datagrams += one.datagrams;
  }
  return counted(sockets, "socket") + ", " + counted(datagrams, "queued datagram");
}

}  // namespace udpcr
