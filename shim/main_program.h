// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

namespace udpcr {

// Says so when the program that we are loaded in is one whose calls we do not
// see: made by the Go tools, which leave a note in it.
void say_what_is_not_seen();

}  // namespace udpcr
