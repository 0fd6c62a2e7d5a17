// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "check.hpp"
#include "commands.hpp"
#include "keeper/keeper.hpp"
#include "show.hpp"

namespace {

struct Command {
  const char* name;
  int (*main)(int, char**);
  const char* summary;  // nullptr: not for people
};

constexpr Command kCommands[] = {
    {"run", udpcr::run_main, "run a program so that its UDP sockets survive a restart"},
    {"checkpoint", udpcr::checkpoint_main, "write a program's UDP sockets into its image"},
    {"restart", udpcr::restart_main, "end a program and start it again, its sockets staying open"},
    {"list", udpcr::list_main, "list the UDP sockets here: tracked, parked, orphans"},
    {"drop", udpcr::drop_main, "end the parking of sockets"},
    {"claim", udpcr::claim_main, "start a program with parked sockets, as socket activation does"},
    {"show", udpcr::tool::show_main, "print an image"},
    {"verify", udpcr::tool::verify_main, "tell whether an image is whole and sound"},
    {"check", udpcr::check_main, "tell what can be kept here, or whether a program works"},
    {"keeper", udpcr::keeper::keeper_main, "be a keeper service for programs that start none"},
};

int usage(std::FILE* where, int status) {
  std::fputs("usage: udpcr COMMAND [ARGUMENT...]\n\n", where);
  for (const Command& command : kCommands) {
    if (command.summary != nullptr) {
      std::fprintf(where, "  %-11s %s\n", command.name, command.summary);
    }
  }
  std::fputs("\n`udpcr COMMAND --help` tells more.\n", where);
  return status;
}

// What was to be told has not been told where stdout does not take it.  `status`, or 1.
int written(int status) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  std::fprintf(stderr, "udpcr: error: cannot write to stdout: %s\n",
               errno != 0 ? std::strerror(errno) : "an earlier write has failed");
  return status == 0 ? 1 : status;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return usage(stderr, 2);
  for (const Command& command : kCommands) {
    if (std::strcmp(argv[1], command.name) == 0) return written(command.main(argc - 1, argv + 1));
  }
  if (std::strcmp(argv[1], "--help") == 0) return written(usage(stdout, 0));
  if (std::strcmp(argv[1], "--version") == 0) {
    std::puts("udpcr " UDPCR_VERSION);
    return written(0);
  }
  std::fprintf(stderr, "udpcr: error: there is no command \"%s\"\n\n", argv[1]);
  return usage(stderr, 2);
}
