// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

namespace udpcr {

// `udpcr check`: which engine would be used here and why, and what it could
// not keep for this user; with a program, what could not work with it.
// `argv[0]` is "check".  Returns the exit status.
int check_main(int argc, char** argv);

}  // namespace udpcr
