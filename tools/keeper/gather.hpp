// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The first half of a checkpoint: every process of the tree sends its fds, and
// every thread comes to a stop in the handler of the checkpoint signal.
#pragma once

#include <chrono>
#include <list>

#include "log.hpp"
#include "page.hpp"
#include "worker.hpp"

namespace udpcr::keeper {

class Gathering {
 public:
  // Signals every thread of every process.  The processes stay the caller's
  // and must outlive this.
  Gathering(std::list<Process>& processes, int signal, Page& page, Log& log);

  enum class State { waiting, complete, failed };
  // Call when a message has arrived and every few milliseconds.
  State step();

  // After `failed`: why.
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
  // After `complete`; takes the fds out of the processes.
  Gathered take();

 private:
  using Clock = std::chrono::steady_clock;
  void signal_new_threads();
  State complete();
  [[nodiscard]] Clock::duration elapsed() const { return Clock::now() - start_; }

  std::list<Process>& processes_;
  int signal_;
  Page& page_;
  Log& log_;
  Clock::time_point start_ = Clock::now();
  std::vector<pid_t> signalled_;
  std::vector<pid_t> unknown_;  // children
  std::size_t threads_ = 0;     // of all processes that take part
  unsigned not_blocking_ = 0;
  std::string failure_;
  std::string not_frozen_;
};

}  // namespace udpcr::keeper
