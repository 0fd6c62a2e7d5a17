// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where the keeper's lines go: UDPCR_LOG_FILE, else the program's stderr.
#pragma once

#include <string>
#include <udpcr/udpcr.hpp>

#include "settings.h"

namespace udpcr::keeper {

class Log {
 public:
  // `stderr_fd`: what the keeper was started with; not owned.
  explicit Log(int stderr_fd) : lasting_(stderr_fd) {}

  void set_level(LogLevel level) { level_ = level; }
  void open_file(const char* path);
  // One that is open.
  void use_file(UniqueFd file) { file_ = std::move(file); }
  // Whom the lines are about, where stderr is others' too.
  void name(std::string subject) { subject_ = std::move(subject); }

  // The keeper must not hold the write end of a pipe that somebody waits on to
  // be closed, as in `out=$(daemon 2>&1)`: forget stderr where it is one.
  void settle();
  // The program's stderr, lent with a message; empty to give it back.
  void borrow(UniqueFd fd) { borrowed_ = std::move(fd); }

  void error(const std::string& line) { write(LogLevel::error, line); }
  void warn(const std::string& line) { write(LogLevel::warn, line); }
  void info(const std::string& line) { write(LogLevel::info, line); }
  void debug(const std::string& line) { write(LogLevel::debug, line); }
  void write(LogLevel level, const std::string& line);

 private:
  int lasting_;
  UniqueFd file_;
  UniqueFd borrowed_;
  std::string subject_;
  LogLevel level_ = LogLevel::warn;
};

}  // namespace udpcr::keeper
