// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzzes read_settings(): an environment, one variable a line, as the shim finds it
// in whatever program it is loaded into.
#include "settings.h"

#include <csignal>
#include <cstring>
#include <string>

#include "watch.hpp"

namespace {

using namespace udpcr;

template <std::size_t size>
void check_path(const char (&path)[size]) {
  if (std::memchr(path, '\0', size) == nullptr) fuzz::fail("a path has no end");
  if (path[0] != '\0' && path[0] != '/') fuzz::fail("a path is not absolute");
}

void check_sentence(const char* sentence, void* /*context*/) {
  if (std::strncmp(sentence, "UDPCR_", 6) != 0) fuzz::fail("a complaint names no variable");
  if (std::strchr(sentence, ';') == nullptr) fuzz::fail("a complaint has no remedy");
}

void check(const Settings& settings) {
  check_path(settings.image);
  check_path(settings.log_file);
  check_path(settings.keeper);
  if (std::memchr(settings.map, '\0', sizeof settings.map) == nullptr) {
    fuzz::fail("the map has no end");
  }
  if (settings.disabled) return;
  if (settings.signal < 1 || settings.signal > SIGRTMAX || settings.signal == SIGKILL ||
      settings.signal == SIGSTOP) {
    fuzz::fail("the signal cannot be caught");
  }
  if (settings.after > After::stop || settings.fds > FdMode::listen ||
      settings.match > Match::any || settings.park > ParkMode::always ||
      settings.engine > EngineChoice::userspace || settings.on_error > OnError::abort ||
      settings.log > LogLevel::debug || settings.queues > QueueChoice::none) {
    fuzz::fail("a choice is none of its values");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> lines(1);
  for (std::size_t i = 0; i < size; ++i) {
    if (data[i] == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += static_cast<char>(data[i]);
    }
  }
  std::vector<const char*> environment;
  for (const std::string& line : lines) environment.push_back(line.c_str());
  environment.push_back(nullptr);
  Settings settings;
  std::memset(&settings, 0x55, sizeof settings);
  // The first line is what the program was executed as, too.
  read_settings(settings, environment.data(), lines[0].c_str(), check_sentence, nullptr);
  check(settings);
  return 0;
}
