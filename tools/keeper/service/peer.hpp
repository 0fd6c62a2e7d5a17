// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The program at the other end of a keeper service's connection: its session
// becomes its user, in its namespaces, and has no capability, whatever the program
// has: what can be told of a process is told of one moment.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <udpcr/udpcr.hpp>
#include <vector>

#include "wire.h"

namespace udpcr::keeper {

// SO_NETNS_COOKIE of who has connected; 0: it is in our network namespace.
std::uint64_t network_of_peer(int channel);
// Whose names the keepers of that program have.
wire::NameOwner owner_of_peer(int channel);

class Peer {
 public:
  // By what the kernel says of who connected.  Throws Error when that process is
  // not to be seen from here.
  explicit Peer(int channel);

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] uid_t uid() const noexcept { return uid_; }

  // Makes sure that it is this very process that answers, and that it is still who
  // it was when it connected: user, group and groups.  Throws Error.
  void identify();
  // Of the process, which has been identified.
  [[nodiscard]] UniqueFd take_pidfd() { return std::move(pidfd_); }

  // Takes its groups, user, network and user namespace, and gives up every
  // capability.  Throws Error, with the remedy, when the service may not.
  void become() const;

 private:
  void enter_namespaces() const;
  void limit_bounding_set() const;

  int channel_;
  pid_t pid_ = 0;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  std::vector<gid_t> groups_;
  UniqueFd pidfd_;
  std::uint64_t bounding_ = 0;
};

}  // namespace udpcr::keeper
