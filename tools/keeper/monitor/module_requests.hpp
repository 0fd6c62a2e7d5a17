// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <set>
#include <udpcr/udpcr.hpp>

namespace udpcr::keeper::monitor {

// What the keeper may say to the kernel module with the monitor's rights, by which the
// module judges it: something of a socket that the keeper shows, of a list that stands
// aside on its own netlink socket, or of what it has parked itself.
class ModuleRequests {
 public:
  // Of the image that is parked for; 0: nothing is.
  void set_image(std::uint64_t hash) { image_ = hash; }
  // The module's family; 0: not known yet.
  [[nodiscard]] int family() const { return family_; }
  void set_family(int family) { family_ = family; }

  // A packet of netlink messages, the module's each.  `number`: the fd that they name,
  // -1: none; `inode`: of the socket that is shown for it.  Throws Error when one is
  // broken.
  bool may_pass(ByteView packet, int number, std::uint64_t inode);

 private:
  bool may_pass_one(unsigned command, bool dump, ByteView attributes, int number,
                    std::uint64_t inode);

  int family_ = 0;
  std::uint64_t image_ = 0;
  std::set<std::uint64_t> parked_;  // inodes
};

}  // namespace udpcr::keeper::monitor
