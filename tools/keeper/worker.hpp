// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The part of a checkpoint that is done in a process of its own: reading the
// sockets and writing the image.  The keeper forks it when all fds have
// arrived and the program stands still.  When it dies, the keeper puts the
// sockets right and lets the program go on; when the keeper dies, it finishes.
#pragma once

#include <memory>
#include <set>
#include <udpcr/image.hpp>

#include "folder.hpp"
#include "identity.hpp"
#include "log.hpp"
#include "page.hpp"
#include "process.hpp"
#include "report.hpp"
#include "told_options.hpp"
#include "watch.hpp"

namespace udpcr::keeper {

// What came together for one checkpoint.
struct Gathered {
  struct Member {
    pid_t pid = 0;
    int pidfd = -1;           // not owned
    bool signalable = false;  // Process::may_be_signalled()
    std::vector<SentFd> fds;
  };
  std::vector<Member> members;  // the root of the tree first
  std::string not_frozen;       // why the program does not stand still; empty: it does
  std::vector<Loss> losses;     // what did not come together
  // Inodes of sockets that are parked: their queues stay in them.
  std::set<std::uint64_t> parked;
};

// Runs in the forked process, makes its own engine (a netlink socket is not
// shared), and returns when that may end.  Ends the page's
// epoch in any case, then sends a Report over `channel`.  Returns the outcome,
// which is the process's exit status, should the Report not have arrived.
Outcome run_worker(Gathered gathered, const Identity& identity, const Settings& settings,
                   const ImageFolder& folder, Page& page, Log& log, const ToldOptions& told,
                   int channel, Watch& watch);

}  // namespace udpcr::keeper
