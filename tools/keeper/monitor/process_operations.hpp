// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <map>

#include "network_operations.hpp"

namespace udpcr::keeper::monitor {

// Of the program's processes, and of no other: a process joins by the channel that
// it has made itself, and is known by its pidfd from then on.
class ProcessOperations {
 public:
  // `keeper`: whose signals they are; `signal`: the checkpoint signal.
  explicit ProcessOperations(pid_t keeper) : keeper_(keeper) {}
  void set_signal(int signal) { signal_ = signal; }

  Result serve(const Asked& asked);

 private:
  struct Member {
    UniqueFd pidfd;
    uid_t user = 0;  // that it had when it made its channel
  };

  Result join(const Asked& asked);
  Result signal(const Asked& asked);
  Result list_sockets(const Asked& asked);
  Result look_at_child(const Asked& asked);
  // Null: it has not joined, or has ended.
  const Member* living(pid_t pid);

  pid_t keeper_;
  int signal_ = 0;
  std::map<pid_t, Member> members_;
};

}  // namespace udpcr::keeper::monitor
