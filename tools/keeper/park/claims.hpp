// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Claims that are undone as long as they are not confirmed: the sockets stay
// parked, and the caller has them open beside.
#pragma once

#include <map>
#include <vector>

#include "asker.hpp"
#include "parked_sockets.hpp"

namespace udpcr::keeper {

class ParkClaims {
 public:
  // A new fd of the socket, owned by this.  Throws Error: EBUSY while its
  // program still has it, ENOENT when another was faster.
  int take(const ParkedSocket& socket);
  // They are parked no more.  May be called in a forked copy instead.
  void confirm();

 private:
  std::vector<UniqueFd> fds_;
  std::vector<ParkedSocket> of_module_;
  Patience patience_;
  std::map<std::string, ParkAsker> keepers_;  // by address
};

}  // namespace udpcr::keeper
