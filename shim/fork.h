// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

namespace udpcr {

// In the constructor: children of fork get a channel of their own.
void watch_forks();

}  // namespace udpcr
