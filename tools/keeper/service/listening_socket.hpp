// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where a keeper service listens.
#pragma once

#include <sys/stat.h>

#include <string>
#include <udpcr/udpcr.hpp>

namespace udpcr::keeper {

class ListeningSocket {
 public:
  // The socket that a service manager has handed down (sd_listen_fds(3)), else
  // one at `path`, where a stale one is removed.  Throws Error, as when a service
  // is there.
  ListeningSocket(const std::string& path, mode_t mode);
  // Removes what it has made.
  ~ListeningSocket();
  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // In a session.
  void forget();

 private:
  void make(mode_t mode);

  std::string path_;
  UniqueFd fd_;
  struct stat made_ {};
};

}  // namespace udpcr::keeper
