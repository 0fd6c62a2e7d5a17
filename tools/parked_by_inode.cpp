// SPDX-License-Identifier: LGPL-2.1-or-later
#include "parked_by_inode.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace udpcr {

bool parse_inode(const char* text, std::uint64_t& inode) {
  const char* const end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, inode);
  return error == std::errc{} && stop == end && inode != 0;
}

std::vector<keeper::ParkedSocket> parked_here() {
  // Keepers pass all that they have.
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit raised{before.rlim_max, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &raised);
  std::vector<std::string> complaints;
  std::vector<keeper::ParkedSocket> all = keeper::list_parked(complaints);
  setrlimit(RLIMIT_NOFILE, &before);
  for (const std::string& complaint : complaints) {
    std::fprintf(stderr, "udpcr: warning: %s\n", complaint.c_str());
  }
  return all;
}

NamedParks find_parked(const std::vector<std::uint64_t>& inodes) {
  const std::vector<keeper::ParkedSocket> all = parked_here();
  NamedParks parks;
  for (const std::uint64_t inode : inodes) {
    const auto found = std::find_if(
        all.begin(), all.end(), [inode](const auto& park) { return park.record.inode == inode; });
    if (found != all.end()) {
      parks.found.push_back(*found);
    } else {
      parks.problems.push_back("socket " + std::to_string(inode) +
                               " is not parked here, or not by this user; `udpcr list` shows "
                               "those that are");
    }
  }
  return parks;
}

}  // namespace udpcr
