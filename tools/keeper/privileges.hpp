// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <linux/capability.h>

namespace udpcr::keeper {

// Closes every inherited fd but `channel` and stderr, points 0 and 1 at
// /dev/null, gives up the capabilities that neither a checkpoint nor a restore
// needs, sets no_new_privs and not dumpable, raises the soft RLIMIT_NOFILE to
// the hard one.  Throws Error.  `channel` is moved to a number above 2.
void enter_keeper_life(int& channel);

// A capability that the keeper may use, but has in force only while this lives.
// Does nothing when it may not.
class Raised {
 public:
  explicit Raised(unsigned capability);
  ~Raised();
  Raised(const Raised&) = delete;
  Raised& operator=(const Raised&) = delete;

 private:
  unsigned before_[2];  // in force
};

}  // namespace udpcr::keeper
