// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <linux/capability.h>

#include <cstdint>

namespace udpcr::keeper {

// Bit by bit.
constexpr std::uint64_t kAllCapabilities = ~std::uint64_t{0};

// Closes every inherited fd but `channel` and stderr, points 0 and 1 at
// /dev/null, gives up the capabilities that neither a checkpoint nor a restore
// needs, and those beyond `most`, sets no_new_privs and not dumpable, raises the
// soft RLIMIT_NOFILE to the hard one.  Throws Error.  `channel` is moved to a
// number above 2.
void enter_keeper_life(int& channel, std::uint64_t most = kAllCapabilities);

// The same for the session of a keeper service, which has inherited nothing that
// it must not have.
void enter_session_life(std::uint64_t most);

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
