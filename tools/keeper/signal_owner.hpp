// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who is signalled when a datagram arrives (fcntl(2), F_SETOWN).  A process of
// the program that the image was taken of becomes the one that gets the socket;
// anybody else stays who he is, if he is still there.
#pragma once

#include <sys/types.h>

#include <optional>
#include <udpcr/image.hpp>

namespace udpcr::keeper {

class SignalOwner {
 public:
  // Nobody.
  SignalOwner() = default;
  // As on socket number `socket` of `image`, whose record has `owner`; `boot_id`
  // is this machine's.  What cannot be had again is a Loss "owner" in `losses`.
  SignalOwner(const FileOwner& owner, const Image& image, std::size_t socket,
              const std::string& boot_id, std::vector<Loss>& losses);

  // On the socket, before process `claimant` gets it.  Empty, or what is not
  // kept.
  [[nodiscard]] std::optional<Loss> give(int fd, pid_t claimant) const;

 private:
  int type_ = 0;
  pid_t pid_ = 0;  // 0: nobody, or whoever claims the socket
  bool claimant_ = false;
};

}  // namespace udpcr::keeper
