// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who is signalled when a datagram arrives (fcntl(2), F_SETOWN).  A process of
// the program that the image was taken of becomes the one that gets the socket;
// anybody else stays who he is, if he is still there.  The kernel signals with
// the rights of whoever has set the owner (fs/fcntl.c, f_setown): that is the
// program, which the keeper only tells, and never the keeper.
#pragma once

#include <sys/types.h>

#include <udpcr/image.hpp>

#include "wire.h"

namespace udpcr::keeper {

class SignalOwner {
 public:
  // Nobody.
  SignalOwner() = default;
  // As on socket number `socket` of `image`, whose record has `owner`; `boot_id`
  // is this machine's.  What cannot be had again is a Loss "owner" in `losses`.
  SignalOwner(const FileOwner& owner, const Image& image, std::size_t socket,
              const std::string& boot_id, std::vector<Loss>& losses);

  // For the process that gets the socket.
  [[nodiscard]] wire::SocketOwner told() const;

 private:
  int type_ = 0;
  int signal_ = 0;
  pid_t pid_ = 0;  // 0: nobody, or whoever claims the socket
  bool claimant_ = false;
};

// At a checkpoint: takes out of `state` an owner outside of the program (its
// processes are `members`) whom somebody had set that was neither root nor this
// keeper's user.  The next start may have more rights than he had, and would lend
// them to him.  A Loss "owner" says so.
void forget_foreign_owner(int fd, const std::vector<pid_t>& members, SocketState& state);

}  // namespace udpcr::keeper
