// SPDX-License-Identifier: LGPL-2.1-or-later
#include "joined_groups.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include <atomic>

#include "sys.h"
#include "turn.h"

namespace udpcr::joined_groups {

namespace {

constexpr size_t kMost = 1024;

struct Pair {
  int level;
  int on;
  int off;
  int refusal;  // what the kernel says when it is so already
};

constexpr Pair kPairs[] = {
    {IPPROTO_IP, IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, EADDRINUSE},
    {IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, IP_DROP_SOURCE_MEMBERSHIP, EADDRNOTAVAIL},
    {IPPROTO_IP, IP_BLOCK_SOURCE, IP_UNBLOCK_SOURCE, EADDRNOTAVAIL},
    {IPPROTO_IP, MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP, EADDRINUSE},
    {IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, MCAST_LEAVE_SOURCE_GROUP, EADDRNOTAVAIL},
    {IPPROTO_IP, MCAST_BLOCK_SOURCE, MCAST_UNBLOCK_SOURCE, EADDRNOTAVAIL},
    {IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP, EADDRINUSE},
    {IPPROTO_IPV6, MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP, EADDRINUSE},
    {IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, MCAST_LEAVE_SOURCE_GROUP, EADDRNOTAVAIL},
    {IPPROTO_IPV6, MCAST_BLOCK_SOURCE, MCAST_UNBLOCK_SOURCE, EADDRNOTAVAIL},
};

const Pair* pair_of(int level, int name) {
  for (const Pair& pair : kPairs) {
    if (pair.level == level && (pair.on == name || pair.off == name)) return &pair;
  }
  return nullptr;
}

// What this run has joined.  0 as inode: free.
struct Joined {
  uint64_t inode;
  uint64_t key;
};

constinit Joined joined[kMost] = {};
constinit size_t used = 0;
constinit std::atomic<bool> turn = false;

// FNV-1a over what names a group; the holes of the structures hold anything.
class Key {
 public:
  void add(const void* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      value_ = (value_ ^ static_cast<const uint8_t*>(bytes)[i]) * 0x100000001b3;
    }
  }

  void add_address(const sockaddr_storage& address) {
    if (address.ss_family == AF_INET) {
      add(&reinterpret_cast<const sockaddr_in&>(address).sin_addr, sizeof(in_addr));
    } else {
      add(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, sizeof(in6_addr));
    }
  }

  [[nodiscard]] uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

uint64_t key_of(const Pair& pair, const void* value, socklen_t size) {
  Key key;
  key.add(&pair.level, sizeof pair.level);
  key.add(&pair.on, sizeof pair.on);
  const bool by_group = pair.on >= MCAST_JOIN_GROUP && pair.on <= MCAST_LEAVE_SOURCE_GROUP;
  if (!by_group) {
    key.add(value, size);
    return key.value();
  }
  // group_req and group_source_req begin alike.
  group_source_req request{};
  memcpy(&request, value, size < sizeof request ? size : sizeof request);
  key.add(&request.gsr_interface, sizeof request.gsr_interface);
  key.add_address(request.gsr_group);
  if (size >= sizeof request) key.add_address(request.gsr_source);
  return key.value();
}

Joined* find(uint64_t inode, uint64_t key) {
  for (size_t i = 0; i < used; ++i) {
    if (joined[i].inode == inode && joined[i].key == key) return &joined[i];
  }
  return nullptr;
}

}  // namespace

bool joins(int level, int name) {
  const Pair* const pair = pair_of(level, name);
  return pair != nullptr && pair->on == name;
}

int answer(uint64_t inode, int level, int name, const void* value, socklen_t size, int error) {
  const Pair* const pair = pair_of(level, name);
  if (pair == nullptr || value == nullptr) return error;
  const bool on = pair->on == name;
  if (error != 0 && (!on || error != pair->refusal)) return error;
  const Turn own_turn(turn);
  const uint64_t key = key_of(*pair, value, size);
  Joined* const known = find(inode, key);
  if (!on) {
    if (known != nullptr) *known = joined[--used];
    return 0;
  }
  if (known != nullptr) return error;
  // Beyond those that can be remembered all are answered as the first.
  if (used < kMost) joined[used++] = {inode, key};
  return 0;
}

void forget(uint64_t inode) {
  const Turn own_turn(turn);
  size_t kept = 0;
  for (size_t i = 0; i < used; ++i) {
    if (joined[i].inode != inode) joined[kept++] = joined[i];
  }
  used = kept;
}

void reset_turn() { turn.store(false, std::memory_order_relaxed); }

}  // namespace udpcr::joined_groups
