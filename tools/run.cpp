// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "commands.hpp"
#include "program_start.hpp"

namespace udpcr {

namespace {

struct Option {
  const char* name;
  const char* variable;
  const char* values;
  const char* meaning;
};

constexpr Option kOptions[] = {
    {"--image", "UDPCR_IMAGE", "PATH", "the image written and read (./%e.udpcr)"},
    {"--signal", "UDPCR_SIGNAL", "NAME", "the checkpoint signal (USR2)"},
    {"--signal-chain", "UDPCR_SIGNAL_CHAIN", "off|on", "run the program's own handler too"},
    {"--after", "UDPCR_AFTER", "continue|exit|stop", "what follows a checkpoint"},
    {"--queues", "UDPCR_QUEUES", "both|receive|send|none", "which queues are kept"},
    {"--queue-max-age", "UDPCR_QUEUE_MAX_AGE", "SECONDS", "older queues are not brought back"},
    {"--options", "UDPCR_OPTIONS", "all|none", "whether socket options are restored"},
    {"--park", "UDPCR_PARK", "off|checkpoint|always", "keep live sockets for the next start"},
    {"--park-seconds", "UDPCR_PARK_SECONDS", "SECONDS", "how long unclaimed sockets are kept"},
    {"--keeper", "UDPCR_KEEPER", "PATH", "use the keeper service listening there"},
    {"--fds", "UDPCR_FDS", "adopt|inherit|listen", "how the program gets its sockets back"},
    {"--map", "UDPCR_MAP", "OLD=NEW,...", "addresses, ports, interfaces that changed"},
    {"--match", "UDPCR_MATCH", "argv|exe|any", "who may take an image"},
    {"--engine", "UDPCR_ENGINE", "auto|module|userspace", "who reads and restores"},
    {"--on-error", "UDPCR_ON_ERROR", "start|abort", "when something cannot be restored"},
    {"--keep-image", "UDPCR_KEEP_IMAGE", "1", "do not rename the image after a restore"},
    {"--log", "UDPCR_LOG", "error|warn|info|debug", "how much is said"},
    {"--log-file", "UDPCR_LOG_FILE", "PATH", "where, instead of stderr"},
};

void usage(std::FILE* where) {
  std::fputs(
      "usage: udpcr run [OPTION VALUE]... [--] PROGRAM [ARGUMENT...]\n\n"
      "Starts the keeper, then PROGRAM in its place under the shim.  Each option stands\n"
      "for an environment variable, which it overrides:\n\n",
      where);
  for (const Option& option : kOptions) {
    std::fprintf(where, "  %-16s %-23s %s\n", option.name, option.values, option.meaning);
  }
  std::fputs(
      "\nExit status: the program's own; 125 udpcr failed, 126 PROGRAM cannot be executed,\n"
      "127 it is not found.\n",
      where);
}

const Option* find_option(const std::string& name) {
  for (const Option& option : kOptions) {
    if (name == option.name) return &option;
  }
  return nullptr;
}

}  // namespace

int run_main(int argc, char** argv) {
  int next = 1;
  for (; next < argc && argv[next][0] == '-'; ++next) {
    std::string name = argv[next];
    if (name == "--help") {
      usage(stdout);
      return 0;
    }
    if (name == "--") {
      ++next;
      break;
    }
    std::string value;
    const std::size_t equals = name.find('=');
    if (equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    const Option* const option = find_option(name);
    if (option == nullptr || (equals == std::string::npos && next + 1 >= argc)) {
      usage(stderr);
      return start_failed(
          kFailed, option == nullptr ? "there is no option " + name : name + " has no value");
    }
    if (equals == std::string::npos) value = argv[++next];
    setenv(option->variable, value.c_str(), 1);
  }
  if (next >= argc) {
    usage(stderr);
    return start_failed(kFailed, "no program is given");
  }
  std::vector<char*> program(argv + next, argv + argc);
  program.push_back(nullptr);
  const StartFailure failure = start_program(program);
  return start_failed(failure.status, failure.why);
}

}  // namespace udpcr
