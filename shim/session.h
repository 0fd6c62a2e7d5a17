// SPDX-License-Identifier: LGPL-2.1-or-later
//
// When the keeper is started, and what comes of it at once: the image of this
// program, if there is one, is restored.
#pragma once

#include "settings.h"

namespace udpcr::session {

// In the constructor, when settings, log and signal are ready.  `settings`
// must stay.
void begin(const Settings& settings, int argc, const char* const* argv);

// The program opens its first UDP socket, or gives up something that a keeper
// needs: start one, unless there is.  Keeps errno.
void ensure_keeper();

// In the child of fork: a start that another thread was at has no end here.
void begin_child();

// A keeper was wanted and could not be started.
bool has_failed();

}  // namespace udpcr::session
