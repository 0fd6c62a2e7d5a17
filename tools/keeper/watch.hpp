// SPDX-License-Identifier: LGPL-2.1-or-later
//
// During a checkpoint the keeper is two processes, and each watches the other: the
// one that runs ends the one that does not, whose sockets are then free.  What they
// know of each other stands in memory that the program cannot reach.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <udpcr/udpcr.hpp>

#include "log.hpp"
#include "page.hpp"

namespace udpcr::keeper {

class Watch {
 public:
  // How long the worker may take for one of the first two phases.
  static constexpr std::chrono::seconds kPhaseBound{30};

  // `reading`: the queues; `writing`: the image, with all that waits for the disk;
  // `writing_freely`: the same, but the program goes on meanwhile; `decided`: the program
  // has been told to end or was stopped, there is no way back; `done`: nobody watches.
  enum class Phase : std::uint32_t { reading, writing, writing_freely, decided, done };

  // Before the fork.  Throws Error.
  Watch();
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // In the worker: ends the keeper when that does not run, gives the program signs of
  // life in its place, and ends the worker when that takes longer than it may.
  // `page` and `log` must outlive the process.
  void guard(Page& page, Log& log);
  void enter(Phase phase) noexcept;
  // False: the keeper has ended the checkpoint.
  [[nodiscard]] bool decide() noexcept;

  // In the keeper, with each turn of its loop: why the worker must be ended, as a
  // sentence; empty: it need not be.
  [[nodiscard]] std::string judge(pid_t worker);
  // Ends the checkpoint.  False: the worker has decided.
  [[nodiscard]] bool overrule() noexcept;

 private:
  struct Shared;
  void live_as_guard(Page& page, Log& log);

  Shared* shared_;
  UniqueFd keeper_;  // pidfd
  pid_t keeper_pid_ = 0;
  // Of the keeper: its time while it ran, so that a machine that was suspended is no
  // reason to end anything.
  std::chrono::steady_clock::time_point looked_at_;
  std::chrono::steady_clock::duration in_phase_{};
  std::chrono::steady_clock::duration stopped_{};
  Phase phase_ = Phase::reading;
};

}  // namespace udpcr::keeper
