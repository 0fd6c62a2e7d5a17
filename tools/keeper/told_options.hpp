// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Options that the kernel does not tell, as the program told them when it set
// them: a fixed list, fixed sizes, each value checked here, none that gives the
// program more than it could have had by itself (docs/design.md).
#pragma once

#include <cstdint>
#include <map>
#include <udpcr/udpcr.hpp>
#include <vector>

#include "packet.hpp"

namespace udpcr::keeper {

class ToldOptions {
 public:
  // A message of type `option`.  Throws Error when it is none that may be told.
  void take(const Packet& packet);
  // The checkpoint is over.
  void forget() {
    told_.clear();
    bytes_ = 0;
  }

  // A socket that was brought back has those of its image.
  void remember(int fd, const SocketRecord& record, const std::vector<Loss>& losses);

  // Adds to the record what the engine cannot know.  `seen`: every call of the
  // program on the socket was.
  void complete(SocketState& state, bool seen) const;
  // The module has read the record: names what not even it can know.
  void name_losses(SocketState& state) const;

 private:
  struct Option {
    int level;
    int name;
    Bytes value;
  };
  using Options = std::vector<Option>;

  static void add(SocketState& state, const Option& option);
  static void add_anycast(SocketState& state, const Option& option);

  std::map<std::uint64_t, Options> told_;        // by inode
  std::map<std::uint64_t, Options> remembered_;  // by inode
  std::size_t bytes_ = 0;
};

}  // namespace udpcr::keeper
