// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A program under udpcr as it runs, and how to become it again.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <udpcr/udpcr.hpp>
#include <vector>

namespace udpcr {

struct RunningProgram {
  pid_t pid = 0;  // of the first process of its tree that still lives
  pid_t keeper = 0;
  uid_t keeper_uid = 0;  // the image's owner
  // Whose user, limits and namespaces tell what the program was started with: the
  // keeper, which began beside it and has given up less.  One of a keeper service
  // began elsewhere: then the program itself.
  pid_t model = 0;
  UniqueFd pidfd;

  std::string file;  // to execute
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // without what belongs to this run alone
  std::string folder;
  mode_t umask = 022;
  uid_t uids[3] = {};  // real, effective, saved
  gid_t gids[3] = {};
  std::vector<gid_t> groups;
  std::optional<rlimit> limits[RLIM_NLIMITS];
  UniqueFd standard[3];  // stdin, stdout, stderr; empty: /dev/null
  // What the new run will not have, a clause each.
  std::vector<std::string> not_kept;
};

// The tree that `pid` belongs to.  Throws Error: no keeper, no such process, or
// one that this user may not look at.
RunningProgram look_at_program(pid_t pid);

// The first processes of the trees of this user that run `file` with
// `arguments` (argv[0] does not count) under udpcr.  `image`: UDPCR_IMAGE that
// they were started with, if it counts.
std::vector<pid_t> find_running(const std::string& file, const std::vector<std::string>& arguments,
                                const std::optional<std::string>& image);

// Turns this process, a child of the tool, into what `program` was before it
// was executed.  Throws Error.
void assume(const RunningProgram& program);

}  // namespace udpcr
