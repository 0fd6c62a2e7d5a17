// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "settings.h"

namespace udpcr {

// Remembers which file stderr is: a line is never written to whatever else the
// program puts under that number later.
void log_remember_stderr();
// Whether stderr is still that file.  Async-signal-safe.
bool log_stderr_is_same();

// One line, by one write(2).  Async-signal-safe.
void say(LogLevel level, const char* sentence);

}  // namespace udpcr
