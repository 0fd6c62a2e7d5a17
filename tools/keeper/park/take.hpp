// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A start of a program takes the sockets that were parked for it, from the
// module and from the keepers of its earlier starts.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "abstract_name.hpp"
#include "asker.hpp"
#include "keeper/log.hpp"
#include "key.hpp"
#include "module_client.hpp"

namespace udpcr::keeper {

struct TakenPark {
  ParkKey key;
  std::uint64_t cookie = 0;
  UniqueFd fd;
};

class ParkTake {
 public:
  ParkTake(const ParkKey& mine, const Settings& settings, Log& log)
      : mine_(mine), settings_(settings), log_(log) {}

  // In the order in which they were bound, each once; `stored`: those that the
  // service manager has kept.  Waits a moment for a program that
  // is just ending; why something is left is a line.
  std::vector<TakenPark> run(std::vector<TakenPark> stored);
  // Cookies of those that are parked for this program and in use.
  [[nodiscard]] const std::set<std::uint64_t>& in_use() const noexcept { return in_use_; }
  // They are kept by the caller now: the keepers that gave them may close
  // theirs.  Without it they keep them.
  void done();

 private:
  bool take_turn();
  void take_from_module(std::vector<TakenPark>& taken);
  void claim(ModuleClient& module, const Parked& parked, const ParkKey& key,
             std::vector<TakenPark>& taken);
  void take_from_keeper(Holder found, std::vector<TakenPark>& taken);
  // False: waited long enough.
  void leave(ParkAsker& keeper);
  static bool wait(int& waited_ms, int patience_ms);

  const ParkKey& mine_;
  const Settings& settings_;
  Log& log_;
  std::set<std::uint64_t> in_use_;
  int waited_ms_ = 0;  // for programs that are ending
  UniqueFd turn_;
  Patience patience_;
  std::vector<ParkAsker> givers_;
};

// What getsockname(2) and its likes say of a socket, and its flags for a record.
// Throws Error when the kernel does not tell.
SocketRecord record_of_parked(int fd, const ParkKey& key);

}  // namespace udpcr::keeper
