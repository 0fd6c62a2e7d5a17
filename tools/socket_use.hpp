// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What udpcr has to do with a socket: parked, tracked, or left behind.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "keeper/park/parked_sockets.hpp"
#include "socket_list.hpp"

namespace udpcr {

enum class Use : std::uint8_t {
  none,
  tracked,        // one of its processes has a keeper
  parked,         // kept open for the next start; its program has ended
  parked_in_use,  // kept open, and its program still has it
  orphan,         // neither kept nor open anywhere
};

struct UsedSocket {
  ListedSocket socket;
  Use use = Use::none;
  std::optional<keeper::ParkedSocket> park;
  std::vector<pid_t> processes;  // that have it, but for the keeper that keeps it
  bool all_processes = true;     // false: there are some that this user cannot see
  std::string program;           // path of its executable; empty: not known
};

// How the machine is asked.
struct UseSources {
  std::function<std::vector<pid_t>(std::uint64_t)> owners;  // by inode
  std::function<bool(pid_t)> is_tracked;
  std::function<std::string(pid_t)> executable;
  bool all_owners = true;
};

// Those listed and those parked, each once, by port, then by inode.
std::vector<UsedSocket> socket_uses(std::vector<ListedSocket> listed,
                                    std::vector<keeper::ParkedSocket> parked,
                                    const UseSources& sources);

// "parked+in-use"; empty for none.
std::string use_name(Use use);

// Seconds that a park has left at `now` (ns of CLOCK_BOOTTIME); empty while its
// program has it.
std::optional<std::uint64_t> seconds_left(const keeper::ParkedSocket& park, std::uint64_t now);
// Seconds since its program ended.
std::optional<std::uint64_t> seconds_ago(const keeper::ParkedSocket& park, std::uint64_t now);

// "127.0.0.1:53 (inode 4711)", for messages.
std::string describe(const keeper::ParkedSocket& park);

}  // namespace udpcr
