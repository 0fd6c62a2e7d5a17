// SPDX-License-Identifier: LGPL-2.1-or-later
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "commands.hpp"
#include "exec_watch.hpp"
#include "keeper/park/claims.hpp"
#include "parked_by_inode.hpp"
#include "program_file.hpp"
#include "program_start.hpp"
#include "socket_use.hpp"

namespace udpcr {
namespace {

// Of socket activation (sd_listen_fds(3)).
constexpr int kFirstListenFd = 3;

constexpr char kUsage[] =
    "usage: udpcr claim INODE... -- COMMAND [ARGUMENT...]\n"
    "\n"
    "Executes COMMAND with these parked sockets at fd 3, 4, ... in this order, and\n"
    "LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES (\"udpcr\" each) set, as socket\n"
    "activation does (sd_listen_fds(3)).  All or none: unless COMMAND is executed\n"
    "they all stay parked.\n"
    "\n"
    "Exit status: COMMAND's own; 125 a socket cannot be claimed, 126 COMMAND cannot be\n"
    "executed, 127 it is not found.\n";

// Every number from kFirstListenFd on is one of theirs; others are overwritten.
void place(std::vector<UniqueFd>& sockets) {
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    if (dup2(sockets[i].get(), kFirstListenFd + int(i)) < 0) {
      throw Error("dup2: " + std::string(std::strerror(errno)), errno);
    }
  }
  const std::string count = std::to_string(sockets.size());
  std::string names = "udpcr";
  for (std::size_t i = 1; i < sockets.size(); ++i) names += ":udpcr";
  setenv("LISTEN_FDS", count.c_str(), 1);
  setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
  setenv("LISTEN_FDNAMES", names.c_str(), 1);
}

int claim(const std::vector<std::uint64_t>& inodes, const std::vector<char*>& command) {
  const std::string file = find_program(command[0]);
  if (file.empty()) return start_failed(kNotFound, std::string(command[0]) + ": not found");
  const NamedParks parks = find_parked(inodes);
  for (const std::string& problem : parks.problems) start_failed(kFailed, problem);
  if (!parks.problems.empty()) return kFailed;
  for (const keeper::ParkedSocket& park : parks.found) {
    if (!park.alive) continue;
    return start_failed(kFailed, describe(park) + " is in use: its program, process " +
                                     std::to_string(park.key.pid) +
                                     ", has not ended; end it first, or `udpcr restart` it");
  }
  keeper::ParkClaims claims;
  const int behind = kFirstListenFd + int(inodes.size());
  std::vector<UniqueFd> sockets;
  for (const keeper::ParkedSocket& park : parks.found) {
    sockets.push_back(duplicate_above(claims.take(park), behind));
  }
  ExecWatch watch(behind, [&claims] {
    try {
      claims.confirm();
    } catch (const Error& error) {
      start_failed(kFailed, error.what());
    }
  });
  place(sockets);
  watch.about_to_execute();
  execv(file.c_str(), command.data());
  const int error_number = errno;
  return start_failed(error_number == ENOENT ? kNotFound : kNotExecutable,
                      file + ": " + std::strerror(error_number) + "; the sockets stay parked");
}

}  // namespace

int claim_main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  std::vector<std::uint64_t> inodes;
  int next = 1;
  for (; next < argc && std::strcmp(argv[next], "--") != 0; ++next) {
    std::uint64_t inode = 0;
    std::string problem;
    if (!parse_inode(argv[next], inode)) {
      problem = "is not an inode number";
    } else if (std::find(inodes.begin(), inodes.end(), inode) != inodes.end()) {
      problem = "is named twice";
    }
    if (!problem.empty()) {
      std::fputs(kUsage, stderr);
      return start_failed(kFailed, "\"" + std::string(argv[next]) + "\" " + problem);
    }
    inodes.push_back(inode);
  }
  if (inodes.empty() || next + 1 >= argc) {
    std::fputs(kUsage, stderr);
    return start_failed(kFailed, inodes.empty() ? "no socket is named" : "no command is given");
  }
  std::vector<char*> command(argv + next + 1, argv + argc);
  command.push_back(nullptr);
  try {
    return claim(inodes, command);
  } catch (const Error& error) {
    return start_failed(kFailed, std::string(error.what()) + "; no socket was claimed");
  }
}

}  // namespace udpcr
