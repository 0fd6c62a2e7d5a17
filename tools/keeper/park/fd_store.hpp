// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A service manager that keeps fds for a service between its runs: FDSTORE=1 of
// sd_notify(3), spoken by hand.  It gives no answers, and only its
// configuration (FileDescriptorStoreMax=, NotifyAccess=) says whether it keeps
// anything; so a pipe that it is given tells: does it stay open?
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "key.hpp"

namespace udpcr::keeper {

class FdStore {
 public:
  // Empty: there is no service manager (NOTIFY_SOCKET), or it keeps nothing
  // for us; then `why` says so.  `has_some`: it is known to.
  static std::optional<FdStore> open(bool has_some, std::string& why);

  // A copy of the socket is kept from here on.  False: there is no room left
  // for it, or the manager does not read.
  bool keep(const ParkKey& key, std::uint64_t inode, int socket);
  // Whether there was room for all so far.  False is for good.
  bool keeps_all();
  // Its copy is closed when this returns.
  void drop(std::uint64_t inode);
  // One that the last start has left there, under that key.
  void know(const ParkKey& key, std::uint64_t inode) { names_[inode] = name_of(key); }

  static std::string name_of(const ParkKey& key);

 private:
  explicit FdStore(UniqueFd manager) : manager_(std::move(manager)) {}
  bool tell(const std::string& message, int fd = -1) const;
  // Until the manager has done all that it was told; false: it does not.
  bool wait() const;
  [[nodiscard]] bool has_room() const;

  UniqueFd manager_;
  std::map<std::uint64_t, std::string> names_;  // of what is there, by inode
  bool full_ = false;
};

}  // namespace udpcr::keeper
