// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which processes have which sockets open, from /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace udpcr {

struct SocketOwner {
  pid_t pid = 0;
  int fd = -1;
  bool cloexec = false;
};

// As of its construction.
class SocketOwners {
 public:
  SocketOwners();
  // By process id, then by fd; empty when no process that we see has it.
  [[nodiscard]] const std::vector<SocketOwner>& of(std::uint64_t inode) const;
  // False: there are processes whose fds this user may not look at.
  [[nodiscard]] bool complete() const noexcept { return complete_; }

 private:
  void look_at(pid_t pid);

  std::map<std::uint64_t, std::vector<SocketOwner>> owners_;
  bool complete_ = true;
};

// Empty when the process is gone or another user's.
std::string executable_of(pid_t pid);
std::vector<std::string> arguments_of(pid_t pid);

}  // namespace udpcr
