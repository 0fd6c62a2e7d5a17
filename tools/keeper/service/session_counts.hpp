// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the sessions of a keeper service hold, user by user: in memory that they
// share, so that nobody escapes a limit by having many programs.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace udpcr::keeper {

class SessionCounts {
 public:
  // Sessions at a time, of all users and of one that is not root.
  static constexpr std::size_t kMost = 4096;
  static constexpr std::size_t kMostOfUser = 512;
  // Of all, this many are root's.
  static constexpr std::size_t kOfRoot = 512;
  // Throws Error.
  SessionCounts();
  ~SessionCounts();
  SessionCounts(const SessionCounts&) = delete;
  SessionCounts& operator=(const SessionCounts&) = delete;

  // In the service: a place for a session of `uid`; -1 when there is no more.
  int take(uid_t uid);
  void set_pid(int place, pid_t pid);
  void give_back(int place);
  // The session has ended.
  void ended(pid_t pid);

  // In the session at `place`: what it keeps parked from now on.  False: its user
  // would have more than one keeper may (kMostParked, kMostParkedBytes), and
  // nothing has changed.
  bool hold(int place, std::uint64_t sockets, std::uint64_t bytes);

 private:
  struct Place {
    std::atomic<pid_t> pid;  // 0: free; -1: taken
    uid_t uid;
    std::atomic<std::uint64_t> sockets;
    std::atomic<std::uint64_t> bytes;
  };
  Place* places_;
};

}  // namespace udpcr::keeper
