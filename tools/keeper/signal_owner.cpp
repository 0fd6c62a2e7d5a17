// SPDX-License-Identifier: LGPL-2.1-or-later
#include "signal_owner.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

namespace udpcr::keeper {

namespace {

constexpr const char* kRemedy = "let the program call fcntl(F_SETOWN) again";

std::string named(int type, pid_t pid) {
  const char* const kind = type == F_OWNER_PGRP  ? "process group "
                           : type == F_OWNER_TID ? "thread "
                                                 : "process ";
  return kind + std::to_string(pid);
}

bool lives(int type, pid_t pid) {
  return kill(type == F_OWNER_PGRP ? -pid : pid, 0) == 0 || errno == EPERM;
}

}  // namespace

SignalOwner::SignalOwner(const FileOwner& owner, const Image& image, std::size_t socket,
                         const std::string& boot_id, std::vector<Loss>& losses)
    : type_(static_cast<int>(owner.type)), signal_(static_cast<int>(owner.signal)) {
  const auto pid = static_cast<pid_t>(owner.pid);
  if (pid <= 0) return;
  const auto process =
      std::find_if(image.processes.begin(), image.processes.end(),
                   [&](const ImageProcess& candidate) { return candidate.pid == pid; });
  if (process != image.processes.end()) {
    claimant_ = std::any_of(process->fds.begin(), process->fds.end(),
                            [&](const ImageFd& fd) { return fd.socket == socket; });
    if (claimant_) return;
    losses.push_back({"owner",
                      named(type_, pid) + " of the program was signalled, which does not have it",
                      kRemedy});
  } else if (boot_id != image.boot_id) {
    losses.push_back(
        {"owner", named(type_, pid) + " was signalled, before this machine was started", kRemedy});
  } else if (!lives(type_, pid)) {
    losses.push_back({"owner", named(type_, pid) + " was signalled, which has ended", kRemedy});
  } else {
    pid_ = pid;
  }
}

wire::SocketOwner SignalOwner::told() const {
  if (!claimant_ && pid_ == 0) return {};
  return {type_, claimant_ ? wire::kOwnerSelf : pid_, signal_};
}

void forget_foreign_owner(int fd, const std::vector<pid_t>& members, SocketState& state) {
  FileOwner& owner = state.record.owner;
  const auto pid = static_cast<pid_t>(owner.pid);
  if (pid <= 0 || std::find(members.begin(), members.end(), pid) != members.end()) return;
  // include/uapi/linux/fcntl.h; real and effective user of whoever set it.  It
  // fails where the kernel is built without CONFIG_CHECKPOINT_RESTORE.
  constexpr int kGetOwnerUids = 17;
  uid_t users[2] = {};
  const bool known = fcntl(fd, kGetOwnerUids, users) == 0;
  if (known && (users[1] == 0 || users[1] == geteuid())) return;
  if (!known && geteuid() != 0) return;
  state.losses.push_back({"owner",
                          named(static_cast<int>(owner.type), pid) + " is signalled, as " +
                              (known ? "user " + std::to_string(users[1]) : "an unknown user") +
                              " has asked, whose rights are not those of user " +
                              std::to_string(geteuid()),
                          kRemedy});
  owner = {};
}

}  // namespace udpcr::keeper
