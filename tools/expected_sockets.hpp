// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The sockets that the next start of a program is to have, and which of them
// it has.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <udpcr/image.hpp>
#include <vector>

#include "keeper/park/parked_sockets.hpp"
#include "socket_list.hpp"

namespace udpcr {

struct ExpectedSocket {
  std::uint64_t inode = 0;  // while it is parked: the new program has this very socket
  std::uint16_t family = 0;
  std::uint16_t protocol = 0;
  Address local;
  bool parked = false;        // else it is made again from the image
  std::size_t datagrams = 0;  // that waited in it at the checkpoint
  pid_t pid = 0;              // that has it now; 0: nobody yet
  std::uint64_t has = 0;      // inode of what that has

  // "127.0.0.1:53 (inode 4711)"
  [[nodiscard]] std::string describe() const;
};

// Of the image and of what is parked for it.  The losses of those that are
// parked are taken out of `image`: they live on.
std::vector<ExpectedSocket> expected_sockets(Image& image,
                                             const std::vector<keeper::ParkedSocket>& parked);

// Looks for those that nobody has yet.  `owners`: processes other than keepers
// that have an inode open.  `listed`: those of the namespace.
void find_expected(std::vector<ExpectedSocket>& expected, const std::vector<ListedSocket>& listed,
                   const std::function<std::vector<pid_t>(std::uint64_t)>& owners);

// "2 sockets, 1 queued datagram": of those that somebody has.
std::string carried_over(const std::vector<ExpectedSocket>& expected);

}  // namespace udpcr
