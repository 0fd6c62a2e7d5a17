// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How those who look for parked sockets talk to a keeper that has some: an
// abstract Unix socket (SOCK_SEQPACKET) in the keeper's network namespace,
// named after the image.  A request is a packet; so is its reply.
//
//   list   all that it has, from number `first` on, a batch a reply
//          (fds: the sockets, in the order of the entries)
//   take   those that the key `mine` may have; or, with `inode`, that one.
//          EBUSY while their program lives, or another one is taking them.
//          They stay the keeper's until `taken`, or for good if the
//          connection ends before
//   taken  what this connection was given is the asker's
//   drop   the one with `inode` is closed; ENOENT
#pragma once

#include <string>

#include "key.hpp"

namespace udpcr::keeper {

constexpr std::uint32_t kParkTalkVersion = 1;

enum class ParkQuestion : std::uint32_t { list = 1, take, taken, drop };

struct ParkRequest {
  std::uint32_t version = kParkTalkVersion;
  ParkQuestion question = ParkQuestion::list;
  ParkKey mine;
  Match match = Match::argv;
  std::uint32_t first = 0;
  std::uint64_t inode = 0;  // 0: by key
};

struct ParkedEntry {
  ParkKey key;
  std::uint64_t inode = 0;
  std::uint64_t since = 0;  // ns of CLOCK_BOOTTIME; 0: its program lives
  std::uint32_t alive = 0;
  std::uint32_t seconds = 0;
};

// Entries of a reply, and fds.
constexpr std::size_t kParkBatch = 250;

struct ParkReply {
  std::uint32_t version = kParkTalkVersion;
  std::int32_t status = 0;  // errno
  std::uint32_t count = 0;  // entries of this reply
  std::uint32_t total = 0;  // that there are, to be asked for batch by batch
  std::uint32_t uid = 0;    // whose they are
  std::int32_t pid = 0;     // of the process that has them, or takes them, for messages
  char executable[1024] = {};
  ParkedEntry entries[kParkBatch];
};

// The stem of the abstract names of keepers that have some (abstract_name.hpp).
std::string park_stem(std::uint64_t image, const wire::NameOwner& owner);

}  // namespace udpcr::keeper
