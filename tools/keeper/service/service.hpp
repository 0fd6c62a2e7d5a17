// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A keeper for programs that cannot or shall not start one: it listens at a path,
// and forks a session for each program, which is its keeper and has its rights.
#pragma once

namespace udpcr::keeper {

// `udpcr keeper --listen PATH`.
int service_main(int argc, char** argv);

}  // namespace udpcr::keeper
