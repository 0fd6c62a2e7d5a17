// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Claims in the place of a fresh socket that other processes of the tree may
// have as well: they put the restored one in its place too, before the
// claimant goes on.
#pragma once

#include <chrono>
#include <list>
#include <vector>

#include "process.hpp"

namespace udpcr::keeper {

class SharedClaims {
 public:
  // False: nobody else has it; the caller answers at once.
  bool begin(const Process& claimant, const wire::ClaimMessage& claim, UniqueFd& socket,
             const std::list<Process>& processes, int signal);
  // `process` has done its part.
  void exchanged(const Process& process, const wire::ClaimMessage& done,
                 const std::list<Process>& processes);
  // Answers those who have waited long enough for a process that does not
  // react.  Milliseconds until that is due; -1 when nobody waits.
  int expire(const std::list<Process>& processes);

 private:
  struct Pending {
    pid_t claimant;
    std::uint32_t entry;
    UniqueFd socket;
    std::vector<pid_t> awaited;
    std::chrono::steady_clock::time_point deadline;
  };

  static void answer(const Pending& claim, const std::list<Process>& processes);

  std::list<Pending> pending_;
};

}  // namespace udpcr::keeper
