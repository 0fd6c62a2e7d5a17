// SPDX-License-Identifier: LGPL-2.1-or-later
#include "program_start.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <udpcr/udpcr.hpp>

#include "keeper_service.h"
#include "program_check.hpp"
#include "program_file.hpp"
#include "settings.h"
#include "wire.h"

namespace udpcr {
namespace {

// In front of what is there, once: a program that is started again by one that
// has it, or by a newer udpcr, has a shim already.
void preload(const std::string& shim) {
  std::string value = shim;
  const char* const others = std::getenv("LD_PRELOAD");
  std::string word;
  for (const char* at = others == nullptr ? "" : others;; ++at) {
    if (*at != '\0' && *at != ':' && *at != ' ') {
      word += *at;
      continue;
    }
    const bool is_shim = word.substr(word.rfind('/') + 1) == "libudpcr_shim.so";
    if (!word.empty() && !is_shim) value += ":" + word;
    word.clear();
    if (*at == '\0') break;
  }
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

// False: there is none, or none that can be had.
bool connect_to_service(const Settings& settings, KeeperConnection& connection) {
  if (settings.keeper[0] == '\0') return false;
  Line why;
  if (connect_keeper(settings, connection, why)) return true;
  warn(settings, "the keeper service at " + std::string(settings.keeper) +
                     " cannot be used: " + why.c_str() + "; the program has a keeper of its own");
  return false;
}

// "": the keeper has started, and the program will find it.
std::string give_keeper(const std::string& tool, const Settings& settings) {
  KeeperConnection connection{};
  const bool served = connect_to_service(settings, connection);
  const KeeperStartError problem = served
                                       ? KeeperStartError{0, nullptr}
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

}  // namespace

StartFailure start_program(const std::string& file, const std::vector<char*>& program) {
  Settings settings{};
  // What is wrong with a value is said by the shim, once.
  read_settings(
      settings, environ, file.c_str(), [](const char*, void*) {}, nullptr);
  if (!settings.disabled) {
    const std::string shim = find_shim();
    if (shim.empty()) {
      return {kFailed, "libudpcr_shim.so is not where it was built or installed (" +
                           std::string(UDPCR_LIBDIR) + "); install udpcr anew"};
    }
    // Without it a keeper would be waited for by nobody.  What the program
    // starts finds the shim all the same.
    if (tell_what_cannot_work(file, shim, settings)) {
      std::error_code error;
      const std::filesystem::path tool = std::filesystem::read_symlink("/proc/self/exe", error);
      const std::string problem = give_keeper(tool, settings);
      if (!problem.empty()) return {kFailed, problem};
    }
    preload(shim);
  }
  execv(file.c_str(), program.data());
  const int error_number = errno;
  return {error_number == ENOENT ? kNotFound : kNotExecutable,
          file + ": " + std::strerror(error_number)};
}

StartFailure start_program(const std::vector<char*>& program) {
  const std::string file = find_program(program[0]);
  if (file.empty()) return {kNotFound, std::string(program[0]) + ": not found"};
  return start_program(file, program);
}

int start_failed(int status, const std::string& why) {
  std::fprintf(stderr, "udpcr: error: %s\n", why.c_str());
  return status;
}

}  // namespace udpcr
