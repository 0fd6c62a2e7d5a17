// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The parked sockets of this keeper's program: kept open for its next start
// when it ends without having closed them (UDPCR_PARK).
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>

#include "keeper/log.hpp"
#include "keeper/process.hpp"
#include "store.hpp"
#include "talk.hpp"

namespace udpcr::keeper {

class Parks {
 public:
  Parks(const Settings& settings, Log& log) : settings_(settings), log_(log) {}

  // What its user may keep open in all his keepers, where these are a service's: told
  // each time how much this one has, it says whether that may be.
  using Share = std::function<bool(std::uint64_t sockets, std::uint64_t bytes)>;
  void share_with(Share share) { share_ = std::move(share); }

  // Once the program is known.
  void begin(const Identity& program);
  [[nodiscard]] const ParkKey& key() const noexcept { return key_; }
  // Whether the next start may look for some here.
  [[nodiscard]] bool expected() const { return wanted_ || holds(); }

  // One that the service manager has kept since the last start.
  void know_stored(const ParkKey& key, int socket);
  // Keeps a socket of `process` (0: nobody's yet); one that is kept already is
  // that process's as well.  What cannot be kept is a line.  True: it was not kept before.
  bool add(const wire::FdEntry& entry, pid_t process, UniqueFd socket);
  [[nodiscard]] bool has(std::uint64_t inode) const { return parks_.count(inode) != 0; }
  // Ends a park, whoever has the socket.
  void drop(std::uint64_t inode);

  // `child` has what `parent` has.
  void forked(pid_t parent, pid_t child);
  // `process` has closed its last fd of the socket: released, unless another one
  // has it.
  void unpark(std::uint64_t inode, pid_t process);
  // `process` asks for those that were closed unseen to be released, those on
  // `port` (host order) or, for 0, all.
  void sweep(pid_t process, std::uint16_t port);
  // `process` becomes another program, whose closes nobody tells.
  void executes(pid_t process);
  // Its channel has ended: it has ended, which its parks survive, or has become
  // another program, which they do not.
  void left(const Process& process);

  // Called when no process is left.
  void program_ended();
  [[nodiscard]] bool ended() const noexcept { return since_ != 0; }
  // Closes what the keeper itself keeps; `why` is a clause.
  void give_up(const std::string& why);
  // Ends all parks: the program has its sockets itself.
  void drop_all();
  // Whether the keeper itself keeps sockets open.
  [[nodiscard]] bool holds() const;

  // Closes what is due.  Milliseconds until the next is; -1: nothing.
  int expire();

  // Of those that the keeper itself keeps open.
  struct Held {
    ParkedEntry entry;
    int fd;
  };
  [[nodiscard]] std::vector<Held> held() const;
  [[nodiscard]] const std::string& executable() const noexcept { return executable_; }
  // Somebody else is taking these, and has them in his share.
  void lend(const std::set<std::uint64_t>& inodes);
  // Somebody else has it now, who keeps it.
  void surrender(std::uint64_t inode);
  // In a forked copy of the keeper: they are not its business.
  void forget_all();

 private:
  struct Entry {
    Park park;
    std::set<pid_t> owners;  // processes that have it, as far as told
    // An owner has ended while the program goes on: when its group is looked at.
    std::optional<std::chrono::steady_clock::time_point> judged_at;
  };
  using Entries = std::map<std::uint64_t, Entry>;  // by inode

  // Whether the keeper has room for one that it would hold.
  [[nodiscard]] bool fits(const Park& park) const;
  // Says that there is none, once; nobody keeps it then.
  void refuse(const Park& park, const std::string& who, const std::string& remedy);
  void release(Entries::iterator place);
  void disown(Entries::iterator place, pid_t process);
  void forget(Entries::iterator place);
  int close_expired();
  void close_all(const std::string& why);
  int ask_manager();
  // What is marked as stored is kept by the service manager.
  bool is_managed();
  int judge_due();
  // Nobody has it open any more, and others of its group live: released.
  void judge(Entries::iterator place);

  const Settings& settings_;
  Log& log_;
  ParkKey key_;
  bool wanted_ = false;  // sockets may come any time
  std::string executable_;
  std::optional<ParkStore> store_;
  Share share_;
  Entries parks_;
  std::uint32_t sequence_ = 0;
  // Of those that we hold.
  std::uint64_t sockets_ = 0;
  std::uint64_t bytes_ = 0;  // SO_RCVBUF
  bool told_full_ = false;
  bool told_fallback_ = false;
  bool told_manager_full_ = false;
  std::uint64_t since_ = 0;  // CLOCK_BOOTTIME; 0: the program lives
};

// Nanoseconds of CLOCK_BOOTTIME.
std::uint64_t boottime_now();

}  // namespace udpcr::keeper
