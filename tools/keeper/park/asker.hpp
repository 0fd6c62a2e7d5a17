// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A connection to a keeper that may have parked sockets (talk.hpp).
#pragma once

#include <string>
#include <vector>

#include "talk.hpp"

namespace udpcr::keeper {

// How long keepers may be waited for that say nothing, all together.
struct Patience {
  int left_ms = 1000;
};

class ParkAsker {
 public:
  // `connection`: to a keeper.  `patience` outlives this.
  ParkAsker(UniqueFd connection, Patience& patience)
      : fd_(std::move(connection)), patience_(&patience) {}

  // Its process id and user, as it listens.
  [[nodiscard]] pid_t keeper() const;
  [[nodiscard]] uid_t user() const;

  struct Given {
    ParkedEntry entry;
    UniqueFd fd;
  };
  // Asks for the first batch of a list, whose answer ask_for_all() takes: so several
  // keepers answer at once.
  void ask_ahead();
  // All batches of list or take.  `reply`: the last.  Throws Error when the
  // keeper does not answer: only root and its own user may ask.
  std::vector<Given> ask_for_all(ParkRequest request, ParkReply& reply);
  // taken or drop.
  ParkReply ask(const ParkRequest& request);

 private:
  ParkReply exchange(const ParkRequest& request, std::vector<UniqueFd>& fds);

  UniqueFd fd_;
  Patience* patience_;
  bool asked_ahead_ = false;
};

}  // namespace udpcr::keeper
