// SPDX-License-Identifier: LGPL-2.1-or-later
#include "restore_order.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <numeric>
#include <tuple>

namespace udpcr::keeper {

namespace {

bool is_in_group(const SocketRecord& record) {
  return std::any_of(record.options.begin(), record.options.end(), [](const SocketOption& option) {
    return option.level == SOL_SOCKET && option.name == SO_REUSEPORT;
  });
}

}  // namespace

std::vector<std::size_t> restore_order(const std::vector<SocketRecord>& records) {
  std::vector<std::size_t> order(records.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<std::size_t> members;
  for (const std::size_t i : order) {
    if (is_in_group(records[i])) members.push_back(i);
  }
  std::vector<std::size_t> sorted = members;
  std::stable_sort(sorted.begin(), sorted.end(), [&](std::size_t one, std::size_t other) {
    const auto key = [&](std::size_t i) {
      return std::tuple(records[i].reuseport_index.value_or(0), records[i].inode);
    };
    return key(one) < key(other);
  });
  for (std::size_t i = 0; i < members.size(); ++i) order[members[i]] = sorted[i];
  return order;
}

}  // namespace udpcr::keeper
