// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Lines for people: `udpcr: LEVEL: sentence`, one write(2) each, to stderr or
// to UDPCR_LOG_FILE.  Safe in the signal handler.  Keeps errno.
#pragma once

#include "settings.h"
#include "text.h"

namespace udpcr {

// At start: remembers which file fd 2 is.
void remember_stderr();
// True while fd 2 is still that file.
bool stderr_is_the_same();

void set_log_level(LogLevel level);
// Opens settings.log_file, which need not be given.
void open_log_file(const char* path);

void log_line(LogLevel level, const char* sentence);
template <size_t capacity>
void log_line(LogLevel level, const Text<capacity>& sentence) {
  log_line(level, sentence.c_str());
}
bool is_logged(LogLevel level);

}  // namespace udpcr
