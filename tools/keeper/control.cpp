// SPDX-License-Identifier: LGPL-2.1-or-later
#include "control.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <udpcr/image_header.h>
#include <cerrno>
#include <cstring>

#include "keeper/park/abstract_name.hpp"
#include "keeper/service/outpost.hpp"

namespace udpcr::keeper {

namespace {

constexpr int kStartPatienceMs = 500;
constexpr int kStartPollMs = 10;

AbstractName control_name(pid_t pid) { return AbstractName("udpcr/" + std::to_string(pid)); }

}  // namespace

UniqueFd listen_for_control(pid_t pid) { return listen_on(control_name(pid)); }

bool has_keeper(pid_t pid) {
  const AbstractName name = control_name(pid);
  const UniqueFd probe = name_socket();
  return probe && (connect(probe.get(), name.get(), name.length) == 0 || errno != ECONNREFUSED);
}

pid_t keeper_of(pid_t pid) {
  const UniqueFd probe = connect_to(control_name(pid));
  return probe ? peer_of(probe.get()).pid : 0;
}

UniqueFd claim_image(int folder, const std::string& name, pid_t& holder) {
  struct stat status {};
  fstat(folder, &status);
  // The name itself may be too long for a socket address.
  const AbstractName claim(
      "udpcr-image/" + std::to_string(status.st_dev) + "/" + std::to_string(status.st_ino) + "/" +
      std::to_string(udpcr_identity_hash(UDPCR_HASH_START, name.data(), name.size())));
  UniqueFd fd = listen_on(claim);
  holder = 0;
  if (!fd) {
    const UniqueFd probe = name_socket();
    if (probe && connect(probe.get(), claim.get(), claim.length) == 0) {
      holder = peer_of(probe.get()).pid;
    }
  }
  return fd;
}

UniqueFd connect_control(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  struct stat process {};
  if (stat(folder.c_str(), &process) != 0) {
    throw Error("there is no process " + std::to_string(pid), errno);
  }
  const AbstractName name = control_name(pid);
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  int result = -1;
  // A keeper that has just been started listens some milliseconds later.
  for (int waited = 0; waited < kStartPatienceMs; waited += kStartPollMs) {
    result = connect(fd.get(), name.get(), name.length);
    if (result == 0 || errno != ECONNREFUSED) break;
    poll(nullptr, 0, kStartPollMs);
  }
  if (result != 0) {
    throw Error("process " + std::to_string(pid) +
                    " has no keeper: it was not started under udpcr, has opened no UDP socket yet, "
                    "or its keeper has ended; start it with `udpcr run -- PROGRAM`",
                errno);
  }
  const uid_t uid = peer_of(fd.get()).uid;
  if (uid != 0 && uid != geteuid() && uid != process.st_uid) {
    throw Error("the control socket of process " + std::to_string(pid) + " is held by user " +
                std::to_string(uid) + ", who has nothing to do with it");
  }
  return fd;
}

}  // namespace udpcr::keeper
