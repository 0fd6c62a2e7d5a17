// SPDX-License-Identifier: LGPL-2.1-or-later
#include "parks.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "keeper/alive.hpp"
#include "persist.hpp"
#include "socket_address.hpp"

namespace udpcr::keeper {

namespace {

// How long the others of a SO_REUSEPORT group may live on before the parked
// one is closed: those of a program that is ended end one after another.
constexpr std::chrono::seconds kSiblingPatience{2};
// Fds of a keeper that are not for parked sockets: channels, questions, a
// checkpoint's own.
constexpr int kReservedFds = 16;

}  // namespace

std::uint64_t boottime_now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::uint64_t(now.tv_sec) * 1'000'000'000 + std::uint64_t(now.tv_nsec);
}

void Parks::begin(const Identity& program) {
  key_ = ParkKey(program, settings_);
  executable_ = program.executable;
  wanted_ = settings_.park != ParkMode::off;
}

bool Parks::fits(const Park& park) const {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      rlim_t(park.fd.get()) + kReservedFds >= limit.rlim_cur) {
    return false;
  }
  return sockets_ < kMostParked && bytes_ + park.receive_buffer <= kMostParkedBytes;
}

void Parks::refuse(const Park& park, const std::string& who, const std::string& remedy) {
  log_.write(told_full_ ? LogLevel::debug : LogLevel::warn,
             "not parked: " + to_string(park.local) + " and others: " + who + " has room for " +
                 std::to_string(kMostParked) + " sockets and " +
                 std::to_string(kMostParkedBytes >> 20) + " MiB of SO_RCVBUF" + remedy +
                 ", or load the kernel module");
  told_full_ = true;
  store_->release(park);
}

bool Parks::add(const wire::FdEntry& entry, pid_t process, UniqueFd socket) {
  show_life();
  struct stat status {};
  if (persist([&] { return fstat(socket.get(), &status); }) != 0) {
    const int error = errno;
    throw Error("not parked: " + to_string(local_address(socket.get())) +
                    " cannot be looked at (fstat): " + std::strerror(error),
                error);
  }
  if (!is_udp_socket(socket.get())) throw Error("what is to be parked is no UDP socket");
  // Closed meanwhile, and its number is another's.
  if (entry.inode != status.st_ino) return false;
  const auto known = parks_.find(status.st_ino);
  if (known != parks_.end()) {
    if (process != 0) known->second.owners.insert(process);
    return false;
  }
  if (!store_) store_.emplace(settings_.engine);
  ParkKey key = key_;
  key.flags = entry.flags;
  key.number = entry.fd;
  key.pid = process;
  key.sequence = sequence_++;
  std::string not_by_module;
  Park park = store_->park(key, std::move(socket), not_by_module);
  if (!not_by_module.empty()) {
    log_.write(told_fallback_ ? LogLevel::debug : LogLevel::info,
               "parked by the keeper alone: " + not_by_module);
    told_fallback_ = true;
  }
  if (!park.in_module()) {
    if (!fits(park)) {
      refuse(park, "a keeper",
             ", and for as many fds as the program's hard limit leaves (RLIMIT_NOFILE; ulimit "
             "-Hn); raise it");
      return false;
    }
    if (share_ && !share_(sockets_ + 1, bytes_ + park.receive_buffer)) {
      refuse(park, "a keeper service",
             " of one user (" + std::to_string(geteuid()) + "); end other programs of his");
      return false;
    }
    ++sockets_;
    bytes_ += park.receive_buffer;
  }
  log_.debug("parked: " + to_string(park.local) +
             (park.in_module() ? " by the module"
              : park.stored    ? " by the service manager"
                               : " by the keeper"));
  std::set<pid_t> owners;
  if (process != 0) owners.insert(process);
  parks_.emplace(status.st_ino, Entry{std::move(park), std::move(owners), {}});
  return true;
}

void Parks::release(Entries::iterator place) {
  const Park& park = place->second.park;
  log_.debug("not parked any more: " + to_string(park.local));
  store_->release(park);
  forget(place);
}

void Parks::forget(Entries::iterator place) {
  if (!place->second.park.in_module()) {
    --sockets_;
    bytes_ -= place->second.park.receive_buffer;
    if (share_) share_(sockets_, bytes_);
  }
  parks_.erase(place);
}

void Parks::drop(std::uint64_t inode) {
  const auto place = parks_.find(inode);
  if (place != parks_.end()) release(place);
}

void Parks::lend(const std::set<std::uint64_t>& inodes) {
  std::uint64_t sockets = sockets_;
  std::uint64_t bytes = bytes_;
  for (const std::uint64_t inode : inodes) {
    const auto place = parks_.find(inode);
    if (place == parks_.end() || place->second.park.in_module()) continue;
    --sockets;
    bytes -= place->second.park.receive_buffer;
  }
  if (share_) share_(sockets, bytes);
}

void Parks::surrender(std::uint64_t inode) {
  const auto place = parks_.find(inode);
  if (place == parks_.end()) return;
  store_->release(place->second.park);
  forget(place);
}

void Parks::know_stored(const ParkKey& key, int socket) {
  if (!store_) store_.emplace(settings_.engine);
  store_->know_stored(key, socket);
}

void Parks::forked(pid_t parent, pid_t child) {
  for (auto& [inode, entry] : parks_) {
    if (entry.owners.count(parent) != 0) entry.owners.insert(child);
  }
}

void Parks::unpark(std::uint64_t inode, pid_t process) {
  const auto place = parks_.find(inode);
  if (place != parks_.end()) disown(place, process);
}

void Parks::disown(Entries::iterator place, pid_t process) {
  place->second.owners.erase(process);
  if (place->second.owners.empty()) release(place);
}

void Parks::sweep(pid_t process, std::uint16_t port) {
  std::map<pid_t, std::optional<std::set<std::uint64_t>>> seen;
  const auto has_closed = [&](const Entries::value_type& park, pid_t owner) {
    const auto [open, fresh] = seen.try_emplace(owner);
    if (fresh) open->second = sockets_of_program(owner);
    if (open->second) return open->second->count(park.first) == 0;
    // We may not look: as far as told.
    return owner == process && park.second.owners.size() == 1;
  };
  for (auto next = parks_.begin(); next != parks_.end();) {
    const auto place = next++;
    Entry& entry = place->second;
    if (port != 0 && entry.park.local.port != port) continue;
    if (entry.owners.empty()) {
      // It binds the address of one that has ended with its owners.
      if (port != 0) release(place);
      continue;
    }
    std::erase_if(entry.owners, [&](pid_t owner) { return has_closed(*place, owner); });
    if (entry.owners.empty()) release(place);
  }
}

void Parks::executes(pid_t process) {
  for (auto next = parks_.begin(); next != parks_.end();) {
    const auto place = next++;
    if (place->second.owners.count(process) != 0) disown(place, process);
  }
}

void Parks::left(const Process& process) {
  if (process.has_executed()) return executes(process.pid);
  for (auto& [inode, entry] : parks_) {
    if (entry.owners.erase(process.pid) == 0) continue;
    if (entry.owners.empty() && entry.park.reuseport) {
      entry.judged_at = std::chrono::steady_clock::now() + kSiblingPatience;
    }
  }
}

void Parks::judge(Entries::iterator place) {
  const Park& park = place->second.park;
  const auto is_living_sibling = [&](const Entries::value_type& other) {
    const Park& one = other.second.park;
    return other.first != place->first && one.reuseport && one.protocol == park.protocol &&
           one.local == park.local && !other.second.owners.empty();
  };
  if (!place->second.owners.empty() ||
      std::none_of(parks_.begin(), parks_.end(), is_living_sibling)) {
    return;
  }
  const std::string lost =
      park.in_module() ? "what was" : std::to_string(queue_bytes_of(park.fd.get())) + " bytes";
  log_.warn("not parked any more: " + to_string(park.local) + ": process " +
            std::to_string(park.key.pid) +
            " of the program has ended, and the others of its SO_REUSEPORT group go on: it would "
            "keep their share from them; " +
            lost + " queued there is lost");
  release(place);
}

void Parks::program_ended() {
  if (ended()) return;
  since_ = boottime_now();
  // The module looks after its own, and so does the service manager.
  const bool managed = is_managed();
  std::erase_if(parks_, [managed](const auto& one) {
    return one.second.park.in_module() || (one.second.park.stored && managed);
  });
  if (parks_.empty()) return;
  log_.info("sockets kept open for the next start: " + std::to_string(parks_.size()) + ", for " +
            std::to_string(settings_.park_seconds) + " s (UDPCR_PARK_SECONDS)");
}

bool Parks::holds() const {
  return std::any_of(parks_.begin(), parks_.end(),
                     [](const auto& one) { return !one.second.park.in_module(); });
}

int Parks::expire() {
  if (ended()) return close_expired();
  const int ask = ask_manager();
  const int judge = judge_due();
  return ask < 0 || (judge >= 0 && judge < ask) ? judge : ask;
}

int Parks::ask_manager() {
  const int due = store_ ? store_->unasked() : -1;
  if (due != 0) return due;
  is_managed();
  return -1;
}

bool Parks::is_managed() {
  if (!store_ || std::none_of(parks_.begin(), parks_.end(),
                              [](const auto& one) { return one.second.park.stored; })) {
    return false;
  }
  const bool managed = store_->manager_keeps_all();
  if (!managed && !told_manager_full_) {
    log_.warn(
        "the service manager has no room for all sockets: raise FileDescriptorStoreMax= of the "
        "unit above their number; those that it has not are lost if the keeper is killed with "
        "the unit (KillMode=)");
    told_manager_full_ = true;
  }
  return managed;
}

int Parks::close_expired() {
  if (parks_.empty()) return -1;
  const std::uint64_t due = since_ + std::uint64_t{settings_.park_seconds} * 1'000'000'000;
  const std::uint64_t now = boottime_now();
  if (now < due) return int(std::min<std::uint64_t>((due - now) / 1'000'000 + 1, 1'000'000'000));
  close_all("no start of the program has asked for it within " +
            std::to_string(settings_.park_seconds) + " s (UDPCR_PARK_SECONDS)");
  return -1;
}

void Parks::give_up(const std::string& why) {
  // Of some it is not known whether the service manager has them: not for us to end.
  std::erase_if(parks_, [](const auto& one) { return one.second.park.stored; });
  close_all(why);
}

void Parks::drop_all() {
  while (!parks_.empty()) release(parks_.begin());
}

void Parks::close_all(const std::string& why) {
  for (const auto& [inode, entry] : parks_) {
    log_.warn("parked " + to_string(entry.park.local) + " is closed: " + why + "; " +
              std::to_string(queue_bytes_of(entry.park.fd.get())) +
              " bytes of queued datagrams are lost");
    store_->release(entry.park);
  }
  parks_.clear();
}

int Parks::judge_due() {
  using namespace std::chrono;
  const auto now = steady_clock::now();
  auto soonest = steady_clock::time_point::max();
  for (auto next = parks_.begin(); next != parks_.end();) {
    const auto place = next++;
    auto& judged_at = place->second.judged_at;
    if (!judged_at) continue;
    if (*judged_at <= now) {
      judged_at.reset();
      judge(place);
    } else {
      soonest = std::min(soonest, *judged_at);
    }
  }
  if (soonest == steady_clock::time_point::max()) return -1;
  return int(duration_cast<milliseconds>(soonest - now).count()) + 1;
}

std::vector<Parks::Held> Parks::held() const {
  std::vector<Held> held;
  for (const auto& [inode, entry] : parks_) {
    const Park& park = entry.park;
    if (park.in_module()) continue;
    held.push_back(
        {{park.key, inode, since_, ended() ? 0U : 1U, settings_.park_seconds}, park.fd.get()});
  }
  std::sort(held.begin(), held.end(), [](const Held& one, const Held& other) {
    return one.entry.key.sequence < other.entry.key.sequence;
  });
  return held;
}

void Parks::forget_all() {
  parks_.clear();
  store_.reset();
}

}  // namespace udpcr::keeper
