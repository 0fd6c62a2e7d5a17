// SPDX-License-Identifier: LGPL-2.1-or-later
#include "signal_owner.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

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
    : type_(static_cast<int>(owner.type)) {
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

std::optional<Loss> SignalOwner::give(int fd, pid_t claimant) const {
  if (!claimant_ && pid_ == 0) return std::nullopt;
  const pid_t pid = claimant_ ? claimant : pid_;
  // It was a group that a process of the program led.
  if (claimant_ && type_ == F_OWNER_PGRP && getpgid(claimant) != claimant) {
    return Loss{"owner",
                "the program's own process group was signalled, and process " +
                    std::to_string(claimant) + " leads none",
                kRemedy};
  }
  const f_owner_ex owner{static_cast<__pid_type>(type_), pid};
  if (fcntl(fd, F_SETOWN_EX, &owner) == 0) return std::nullopt;
  return Loss{"owner", named(type_, pid) + " cannot be signalled: " + std::strerror(errno),
              kRemedy};
}

}  // namespace udpcr::keeper
