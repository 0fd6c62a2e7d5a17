// SPDX-License-Identifier: LGPL-2.1-or-later
#include "take.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>

#include "abstract_name.hpp"
#include "fresh_socket.hpp"
#include "keeper/alive.hpp"
#include "keeper/origin.hpp"
#include "keeper/process.hpp"
#include "keeper/service/outpost.hpp"
#include "kernel_numbers.hpp"
#include "options.hpp"
#include "socket_address.hpp"
#include "store.hpp"

namespace udpcr::keeper {

namespace {

// For a program that is just ending: what the module says of it may be due to
// another process, what its keeper says is not.
constexpr int kPatienceMs = 1000;
constexpr int kKeeperPatienceMs = 5000;
// For another start, which may restore an image.
constexpr int kTurnPatienceMs = 1000;
constexpr int kPollMs = 5;

// One that ends has no fds any more when its end is not known yet.
bool lives(pid_t pid) { return pid > 0 && is_running(pid); }

}  // namespace

bool ParkTake::wait(int& waited_ms, int patience_ms) {
  if (waited_ms >= patience_ms) return false;
  poll_alive(nullptr, 0, kPollMs);
  waited_ms += kPollMs;
  return true;
}

// One start at a time: the other finds nothing left, or what is in use.  Where others
// hold all names there is no order: then a keeper that is asked twice answers one.
bool ParkTake::take_turn() {
  const std::string stem =
      "udpcr-take/" + std::to_string(wire::park_hash(mine_.image, name_owner()));
  bool told = false;
  int waited_ms = 0;
  for (;;) {
    pid_t holder = 0;
    for (unsigned number = 0; number < wire::kFixedNames && holder == 0; ++number) {
      const AbstractName name(name_in(stem, number));
      turn_ = listen_on(name);
      if (turn_) return true;
      const UniqueFd other = connect_to(name);
      if (other && is_ours(other.get())) holder = peer_of(other.get()).pid;
    }
    if (holder == 0) return true;
    if (!told) {
      log_.info("another start (keeper " + std::to_string(holder) +
                ") is taking the sockets that are parked for image " + settings_.image);
      told = true;
    }
    if (!wait(waited_ms, kTurnPatienceMs)) return false;
  }
}

std::vector<TakenPark> ParkTake::run(std::vector<TakenPark> stored) {
  std::vector<TakenPark> taken = std::move(stored);
  std::erase_if(taken,
                [&](const TakenPark& one) { return !one.key.is_for(mine_, settings_.match); });
  if (!take_turn()) {
    log_.warn("parked sockets of image " + std::string(settings_.image) +
              " are left alone: another start is taking them");
    return taken;
  }
  take_from_module(taken);
  for (Holder& keeper : find_in(park_stem(mine_.image, name_owner()), is_ours)) {
    take_from_keeper(std::move(keeper), taken);
  }
  std::stable_sort(taken.begin(), taken.end(), [](const TakenPark& one, const TakenPark& other) {
    return one.key.sequence < other.key.sequence;
  });
  // A keeper in a unit whose processes are not killed has what the manager has.
  std::set<std::uint64_t> cookies;
  std::erase_if(taken, [&](const TakenPark& one) {
    return one.cookie != 0 && !cookies.insert(one.cookie).second;
  });
  return taken;
}

void ParkTake::done() {
  ParkRequest request;
  request.question = ParkQuestion::taken;
  for (ParkAsker& giver : givers_) {
    try {
      giver.ask(request);
    } catch (const Error& error) {
      log_.debug(error.what());
    }
  }
  givers_.clear();
  turn_.reset();
}

void ParkTake::take_from_module(std::vector<TakenPark>& taken) {
  ModuleClient module;
  if (!module.available() || !module.parks()) return;
  try {
    for (const Parked& parked : module.parked()) {
      const std::optional<ParkKey> key = ParkKey::from(parked.key);
      if (key && key->is_for(mine_, settings_.match)) claim(module, parked, *key, taken);
    }
  } catch (const Error& error) {
    log_.error("sockets that the module has parked are left alone: " + std::string(error.what()));
  }
}

void ParkTake::claim(ModuleClient& module, const Parked& parked, const ParkKey& key,
                     std::vector<TakenPark>& taken) {
  const std::string where = to_string(parked.record.local);
  for (;;) {
    try {
      UniqueFd fd = module.claim({parked.record.inode, {}, parked.record.cookie}, parked.key);
      taken.push_back({key, parked.record.cookie, std::move(fd)});
      return;
    } catch (const Error& error) {
      if (error.error_number() == EBUSY && !lives(key.pid) && wait(waited_ms_, kPatienceMs))
        continue;
      if (error.error_number() == EBUSY) {
        in_use_.insert(parked.record.cookie);
        log_.info("parked " + where + " is left alone: process " + std::to_string(key.pid) +
                  ", which has bound it, or another one has it open");
      } else if (error.error_number() == ENOENT) {
        log_.info("parked " + where +
                  " is left alone: another start has taken it, or its time is over");
      } else {
        log_.error("parked " + where + " is left alone: " + error.what());
      }
      return;
    }
  }
}

namespace {

// What a keeper of this user may have: a socket activated one is root's.
bool may_be_adopted(int fd) {
  struct stat status {};
  return is_udp_socket(fd) && fstat(fd, &status) == 0 &&
         (geteuid() == 0 || status.st_uid == geteuid() || status.st_uid == 0);
}

}  // namespace

void ParkTake::take_from_keeper(Holder found, std::vector<TakenPark>& taken) {
  for (;;) {
    if (!found.connection) found.connection = connect_to(AbstractName(found.name));
    if (!found.connection || !is_ours(found.connection.get())) return;
    ParkAsker keeper(std::move(found.connection), patience_);
    const pid_t pid = keeper.keeper();
    try {
      ParkRequest request;
      request.question = ParkQuestion::take;
      request.mine = mine_;
      request.match = settings_.match;
      ParkReply reply;
      std::vector<ParkAsker::Given> given = keeper.ask_for_all(request, reply);
      const bool busy = reply.status == EBUSY;
      if (busy && !lives(reply.pid) && wait(waited_ms_, kKeeperPatienceMs)) continue;
      if (busy) {
        log_.info("the sockets that keeper " + std::to_string(pid) +
                  " keeps are left alone: process " + std::to_string(reply.pid) +
                  " has them, or is taking them");
        leave(keeper);
      }
      const std::size_t before = given.size();
      std::erase_if(given,
                    [](const ParkAsker::Given& one) { return !may_be_adopted(one.fd.get()); });
      if (given.size() != before) {
        log_.warn("keeper " + std::to_string(pid) + " offers " +
                  std::to_string(before - given.size()) +
                  " fds as parked that are no UDP sockets of this user: they are left alone");
      }
      // All of them or none: what is not taken stays with its keeper.
      std::vector<TakenPark> mine;
      for (ParkAsker::Given& one : given) {
        mine.push_back(
            {ParkKey(one.entry.key), read_cookie(one.fd.get(), kSoCookie), std::move(one.fd)});
      }
      std::move(mine.begin(), mine.end(), std::back_inserter(taken));
      if (!given.empty()) givers_.push_back(std::move(keeper));
    } catch (const Error& error) {
      // Others have all that it had.
      if (error.error_number() == ESRCH && wait(waited_ms_, kPatienceMs)) continue;
      log_.warn("parked sockets are left alone: " + std::string(error.what()));
    }
    return;
  }
}

void ParkTake::leave(ParkAsker& keeper) {
  ParkReply reply;
  for (const ParkAsker::Given& one : keeper.ask_for_all({}, reply)) {
    if (one.entry.key.is_for(mine_, settings_.match)) {
      in_use_.insert(read_cookie(one.fd.get(), kSoCookie));
    }
  }
}

SocketRecord record_of_parked(int fd, const ParkKey& key) {
  SocketRecord record;
  record.inode = inode_of(fd);
  record.cookie = read_cookie(fd, kSoCookie);
  record.family = std::uint16_t(require_number(fd, SOL_SOCKET, SO_DOMAIN));
  record.protocol = std::uint16_t(require_number(fd, SOL_SOCKET, SO_PROTOCOL));
  record.flags = origin_flags(key.flags);
  record.local = local_address(fd);
  record.peer = peer_address(fd);
  if (record.peer) record.flags |= UDPCR_SOCK_CONNECTED;
  record.device = bound_device(fd);
  record.rmem = queue_bytes_of(fd);
  return record;
}

}  // namespace udpcr::keeper
