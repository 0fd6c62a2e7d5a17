// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Answers those who look for parked sockets (talk.hpp) with what this
// keeper keeps open.
#pragma once

#include <list>
#include <set>
#include <vector>

#include "parks.hpp"
#include "talk.hpp"

namespace udpcr::keeper {

class ParkAnswers {
 public:
  ParkAnswers(Parks& parks, Log& log) : parks_(parks), log_(log) {}

  // Begins to listen when there may be something to be found: before the program
  // has bound its first socket.
  void listen_if_expected();
  // Fds to be polled for reading.
  std::vector<int> sources();
  // `source` is ready.  `living`: a process of the program; 0: all have ended.
  void serve(int source, pid_t living);
  // Milliseconds until a better name is looked for; -1: it has one.
  int improve_name();
  // In a forked copy of the keeper.
  void close();

 private:
  struct Asker {
    UniqueFd fd;
    pid_t pid = 0;
    std::set<std::uint64_t> given;  // inodes
  };

  void listen();
  [[nodiscard]] std::string stem() const;
  void forget(std::list<Asker>::iterator asker);
  // False: the connection is over.
  bool serve(Asker& asker, pid_t living);
  void answer(const Asker& asker, const wire::ProbeMessage& probe);
  void answer(Asker& asker, const ParkRequest& request, pid_t living);
  // The first that are asked for are in the reply.
  static void choose(const std::vector<Parks::Held>& wanted, std::uint32_t first, ParkReply& reply,
                     std::vector<int>& fds);

  Parks& parks_;
  Log& log_;
  std::vector<UniqueFd> listeners_;
  bool has_fixed_name_ = false;
  bool told_ = false;
  std::list<Asker> askers_;
};

}  // namespace udpcr::keeper
