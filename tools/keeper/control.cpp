// SPDX-License-Identifier: LGPL-2.1-or-later
#include "control.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <udpcr/image_header.h>
#include <cerrno>
#include <cstring>

#include "keeper/park/abstract_name.hpp"
#include "wire.h"

namespace udpcr::keeper {

namespace {

constexpr int kStartPatienceMs = 500;
constexpr int kStartPollMs = 10;

std::string control_stem(pid_t pid) { return "udpcr/" + std::to_string(pid); }

// Who else may be the keeper of a process: its own user, where root asks.
Accepts of_owner(pid_t pid) {
  struct stat process {};
  const bool known = stat(("/proc/" + std::to_string(pid)).c_str(), &process) == 0;
  return [known, owner = process.st_uid](int connection) {
    return known && peer_of(connection).uid == owner;
  };
}

// Root's or our own before that of its user: what a process has become may not speak
// for it.
UniqueFd keeper_connection(pid_t pid) {
  const std::string stem = control_stem(pid);
  const Accepts owned = of_owner(pid);
  std::vector<Holder> all = find_in(
      stem, [&](int connection) { return is_ours_or_root(connection) || owned(connection); });
  for (Holder& one : all) {
    if (is_ours_or_root(one.connection.get())) return std::move(one.connection);
  }
  return all.empty() ? UniqueFd() : std::move(all.front().connection);
}

}  // namespace

UniqueFd listen_for_control(pid_t pid) {
  const std::string stem = control_stem(pid);
  for (unsigned number = 0; number < wire::kFixedNames; ++number) {
    const AbstractName name(name_in(stem, number));
    UniqueFd fd = listen_on(name);
    if (fd) return fd;
    const UniqueFd other = connect_to(name);
    // Of the program that this process was: it goes in a moment.
    if (other && is_ours_or_root(other.get())) return {};
  }
  bool fixed = false;
  return listen_in(stem, fixed);
}

bool has_keeper(pid_t pid) { return bool(keeper_connection(pid)); }

pid_t keeper_of(pid_t pid) {
  const UniqueFd keeper = keeper_connection(pid);
  return keeper ? peer_of(keeper.get()).pid : 0;
}

UniqueFd claim_image(int folder, const std::string& name, pid_t& holder) {
  struct stat status {};
  fstat(folder, &status);
  // The name itself may be too long for a socket address.
  const std::string stem =
      "udpcr-image/" + std::to_string(status.st_dev) + "/" + std::to_string(status.st_ino) + "/" +
      std::to_string(udpcr_identity_hash(UDPCR_HASH_START, name.data(), name.size()));
  const auto holder_at = [&stem](unsigned number) {
    const UniqueFd other = connect_to(AbstractName(name_in(stem, number)));
    return other && is_ours_or_root(other.get()) ? peer_of(other.get()).pid : 0;
  };
  const std::vector<Holder> holders = find_in(stem, is_ours_or_root);
  holder = holders.empty() ? 0 : peer_of(holders.front().connection.get()).pid;
  for (unsigned number = 0; number < wire::kFixedNames && holder == 0; ++number) {
    UniqueFd fd = listen_on(AbstractName(name_in(stem, number)));
    if (fd) return fd;
    // Another was faster, or it is not one of ours.
    holder = holder_at(number);
  }
  if (holder != 0) return {};
  bool fixed = false;
  return listen_in(stem, fixed);
}

UniqueFd connect_control(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  struct stat process {};
  if (stat(folder.c_str(), &process) != 0) {
    throw Error("there is no process " + std::to_string(pid), errno);
  }
  UniqueFd fd = keeper_connection(pid);
  // A keeper that has just been started listens some milliseconds later.
  for (int waited = 0; !fd && waited < kStartPatienceMs; waited += kStartPollMs) {
    poll(nullptr, 0, kStartPollMs);
    fd = keeper_connection(pid);
  }
  if (!fd) {
    throw Error("process " + std::to_string(pid) +
                    " has no keeper: it was not started under udpcr, has opened no UDP socket yet, "
                    "or its keeper has ended; start it with `udpcr run -- PROGRAM`",
                ECONNREFUSED);
  }
  // Who has asked waits.
  fcntl(fd.get(), F_SETFL, 0);
  return fd;
}

}  // namespace udpcr::keeper
