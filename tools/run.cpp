// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <udpcr/udpcr.hpp>
#include <vector>

#include "commands.hpp"
#include "keeper_service.h"
#include "program_check.hpp"
#include "program_file.hpp"
#include "settings.h"
#include "wire.h"

namespace udpcr {

namespace {

constexpr int kFailed = 125;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;

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

int fail(int status, const std::string& why) {
  std::fprintf(stderr, "udpcr: error: %s\n", why.c_str());
  return status;
}

const Option* find_option(const std::string& name) {
  for (const Option& option : kOptions) {
    if (name == option.name) return &option;
  }
  return nullptr;
}

void preload(const std::string& shim) {
  const char* others = std::getenv("LD_PRELOAD");
  const std::string value =
      others == nullptr || *others == '\0' ? shim : shim + ":" + std::string(others);
  setenv("LD_PRELOAD", value.c_str(), 1);
}

// What the shim would say were it in the program.
void warn(const Settings& settings, const std::string& sentence) {
  if (settings.log < LogLevel::warn) return;
  const UniqueFd file(
      settings.log_file[0] == '\0'
          ? -1
          : open(settings.log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  dprintf(file ? file.get() : STDERR_FILENO, "udpcr: warning: %s\n", sentence.c_str());
}

// False: the shim will not be in the program.
bool tell_what_cannot_work(const std::string& file, const std::string& shim,
                           const Settings& settings) {
  const ProgramCheck check = check_program(file, shim);
  for (const Finding& finding : check.findings) {
    // What cannot be executed is said by exec; Go by the shim.
    if (finding.kind != Finding::Kind::not_loaded) continue;
    warn(settings, finding.what + "; the program runs without udpcr" +
                       (finding.remedy.empty() ? "" : "; " + finding.remedy));
    return false;
  }
  return true;
}

// "": the keeper has started, and the program will find it.
std::string give_keeper(const std::string& tool, const Settings& settings) {
  KeeperConnection connection{};
  Line why;
  const bool served =
      settings.keeper[0] != '\0' && connect_keeper(settings, connection, why);
  if (settings.keeper[0] != '\0' && !served) {
    warn(settings, "the keeper service at " + std::string(settings.keeper) +
                       " cannot be used: " + why.c_str() + "; the program has a keeper of its own");
  }
  const KeeperStartError problem =
      served ? KeeperStartError{0, nullptr}
             : start_keeper(tool.c_str(), settings, environ, connection);
  if (problem.error_number != 0) {
    return std::string("the keeper cannot start: ") + problem.step + ": " +
           std::strerror(problem.error_number) +
           "; without a keeper (LD_PRELOAD alone) the program would run, but could not be "
           "checkpointed";
  }
  const std::string channel =
      std::to_string(connection.channel) + "," + std::to_string(connection.page);
  setenv("UDPCR_CHANNEL", channel.c_str(), 1);
  // Both pass through exec; the shim closes them on the next.
  fcntl(connection.channel, F_SETFD, 0);
  fcntl(connection.page, F_SETFD, 0);
  return {};
}

int run(const std::vector<char*>& program) {
  const std::string file = find_program(program[0]);
  if (file.empty()) return fail(kNotFound, std::string(program[0]) + ": not found");

  Settings settings{};
  // What is wrong with a value is said by the shim, once.
  read_settings(
      settings, environ, file.c_str(), [](const char*, void*) {}, nullptr);
  if (!settings.disabled) {
    const std::string shim = find_shim();
    if (shim.empty()) {
      return fail(kFailed, "libudpcr_shim.so is not where it was built or installed (" +
                               std::string(UDPCR_LIBDIR) + "); install udpcr anew");
    }
    // Without it a keeper would be waited for by nobody.  What the program
    // starts finds the shim all the same.
    if (tell_what_cannot_work(file, shim, settings)) {
      std::error_code error;
      const std::filesystem::path tool = std::filesystem::read_symlink("/proc/self/exe", error);
      const std::string problem = give_keeper(tool, settings);
      if (!problem.empty()) return fail(kFailed, problem);
    }
    preload(shim);
  }
  execv(file.c_str(), program.data());
  const int error_number = errno;
  return fail(error_number == ENOENT ? kNotFound : kNotExecutable,
              file + ": " + std::strerror(error_number));
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
      return fail(kFailed,
                  option == nullptr ? "there is no option " + name : name + " has no value");
    }
    if (equals == std::string::npos) value = argv[++next];
    setenv(option->variable, value.c_str(), 1);
  }
  if (next >= argc) {
    usage(stderr);
    return fail(kFailed, "no program is given");
  }
  std::vector<char*> program(argv + next, argv + argc);
  program.push_back(nullptr);
  return run(program);
}

}  // namespace udpcr
