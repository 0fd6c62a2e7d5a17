// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the tests of parking share.
#pragma once

#include <functional>

#include "network.hpp"
#include "talk.hpp"

namespace udpcr::test {

// PARK of an fd of the caller's.
Request park_of(int fd, const std::string& key = "", std::uint32_t seconds = 0);
Request claim_of(std::uint64_t inode, const std::string& key = "");
Request unpark_of(std::uint64_t inode);

// Claims or throws; the key is that of leave().
UniqueFd claim(Talk& talk, std::uint64_t inode, const std::string& key = "k");
std::vector<Message> parked(Talk& talk);
// Of all network namespaces.
Request parked_everywhere();
// Of those parked the one with this inode; throws when there is none.
Message parked_one(Talk& talk, std::uint64_t inode);
bool is_parked(Talk& talk, std::uint64_t inode);

struct Left {
  std::uint64_t inode = 0;
  Address local;
};

enum class End { exit, kill };

// What a child has made, parked under key "k" and left behind.  `make` may
// become another user first.  `park`: false to let `make` do that too.
std::vector<Left> leave(const std::function<std::vector<UniqueFd>()>& make,
                        std::uint32_t seconds = 0, End end = End::exit, bool park = true);
Left leave_one(const std::function<UniqueFd()>& make, std::uint32_t seconds = 0,
               End end = End::exit);

std::uint64_t boottime();  // CLOCK_BOOTTIME, nanoseconds
// Waits until it holds; throws after `seconds`.
void await(const std::string& what, const std::function<bool()>& holds, int seconds = 20);
// How many references keep the module loaded.
int module_references();

}  // namespace udpcr::test
