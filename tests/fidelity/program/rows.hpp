// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "network.hpp"
#include "trial.hpp"

namespace fidelity {

void add_addresses(Rows& rows);
void add_options(Rows& rows);
void add_queues(Rows& rows);
void add_queue_states(Rows& rows);
void add_queue_headers(Rows& rows);
void add_corks(Rows& rows);
void add_errors(Rows& rows);
void add_multicast(Rows& rows);
void add_filters(Rows& rows);
void add_sharing(Rows& rows);
// The last ones: they fork.
void add_trees(Rows& rows);

// The usual `open`: bound to the loopback address and the row's own port.
Step bound(const Kind& kind);
inline void nothing(Trial&) {}

// 0: the kernel has no option that is neither in a row nor known to be no
// state; others are printed.
int walk_options(const Rows& rows);

}  // namespace fidelity
