// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "network.hpp"
#include "trial.hpp"

namespace fidelity {

void add_addresses(Rows& rows);
void add_options(Rows& rows);
void add_behaviours(Rows& rows);
void add_policies(Rows& rows);
void add_queues(Rows& rows);
void add_queue_states(Rows& rows);
void add_queue_headers(Rows& rows);
void add_corks(Rows& rows);
void add_errors(Rows& rows);
void add_multicast(Rows& rows);
void add_filters(Rows& rows);
void add_sharing(Rows& rows);
void add_cgroups(Rows& rows);
// The last ones: they fork.
void add_trees(Rows& rows);

// The usual `open`: bound to the loopback address and the row's own port.
Step bound(const Kind& kind);
inline void nothing(Trial&) {}

// Whether add_options() has a row for it.
bool has_option_row(int level, int number);
// Prints the options of this kernel that can be set and have no row; 0: none.
int walk_options();

}  // namespace fidelity
