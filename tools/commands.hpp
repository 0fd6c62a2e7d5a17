// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The commands of `udpcr`.  Each takes its own name as argv[0] and returns the
// exit status.
#pragma once

namespace udpcr {

int run_main(int argc, char** argv);
int checkpoint_main(int argc, char** argv);
int list_main(int argc, char** argv);
int drop_main(int argc, char** argv);
int claim_main(int argc, char** argv);
int restart_main(int argc, char** argv);

}  // namespace udpcr
