// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cstdio>
#include <cstring>

#include "commands.hpp"
#include "parked_by_inode.hpp"
#include "socket_use.hpp"

namespace udpcr {
namespace {

constexpr char kUsage[] =
    "usage: udpcr drop INODE...\n"
    "\n"
    "Ends the parking of these sockets (`udpcr list` shows the numbers).  One whose\n"
    "program has ended is closed, with what is queued in it; one that is in use stays\n"
    "open in its program, and is not kept for the next start.  Root may drop\n"
    "everybody's, others their own.\n"
    "\n"
    "Exit status: 0 all were parked and are not any more; 1 some were not, each named\n"
    "on a line of its own; 2 usage.\n";

// "closed, 3 queued datagrams with it"
std::string fate(const keeper::ParkedSocket& park) {
  if (park.alive) return "not kept any more; its program still has it";
  const SocketRecord& record = park.record;
  if (record.queue_count != 0) {
    return "closed, with " + std::to_string(record.queue_count) + " queued datagrams";
  }
  return record.rmem == 0
             ? "closed, its queue was empty"
             : "closed, with queued datagrams of " + std::to_string(record.rmem) + " bytes";
}

}  // namespace

int drop_main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  std::vector<std::uint64_t> inodes;
  for (int i = 1; i < argc; ++i) {
    std::uint64_t inode = 0;
    if (!parse_inode(argv[i], inode)) {
      std::fprintf(stderr, "udpcr: error: \"%s\" is not an inode number\n\n%s", argv[i], kUsage);
      return 2;
    }
    inodes.push_back(inode);
  }
  if (inodes.empty()) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  NamedParks parks = find_parked(inodes);
  for (const keeper::ParkedSocket& park : parks.found) {
    try {
      keeper::drop_parked(park);
      std::printf("dropped: %s: %s\n", describe(park).c_str(), fate(park).c_str());
    } catch (const Error& error) {
      parks.problems.emplace_back(error.what());
    }
  }
  for (const std::string& problem : parks.problems) {
    std::fprintf(stderr, "udpcr: error: %s\n", problem.c_str());
  }
  return parks.problems.empty() ? 0 : 1;
}

}  // namespace udpcr
