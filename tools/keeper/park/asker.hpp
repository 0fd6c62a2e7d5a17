// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A connection to a keeper that may have parked sockets (talk.hpp).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "talk.hpp"

namespace udpcr::keeper {

class ParkAsker {
 public:
  // Nothing: nobody listens at that name.
  static std::optional<ParkAsker> at(const std::string& name);

  [[nodiscard]] pid_t keeper() const;

  struct Given {
    ParkedEntry entry;
    UniqueFd fd;
  };
  // All batches of list or take.  `reply`: the last.  Throws Error when the
  // keeper does not answer: only root and its own user may ask.
  std::vector<Given> ask_for_all(ParkRequest request, ParkReply& reply);
  // taken or drop.
  ParkReply ask(const ParkRequest& request);

 private:
  explicit ParkAsker(UniqueFd fd) : fd_(std::move(fd)) {}
  ParkReply exchange(const ParkRequest& request, std::vector<UniqueFd>& fds);

  UniqueFd fd_;
};

}  // namespace udpcr::keeper
