// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sockets that no process of the tree has bound by a call that is seen: their
// bind in the next run will not be seen either.
#pragma once

#include <algorithm>
#include <udpcr/udpcr.hpp>
#include <vector>

namespace udpcr::keeper {

// The name of that loss.
constexpr char kUnseenLoss[] = "unseen";

inline bool has_unseen(const std::vector<Loss>& losses) {
  return std::any_of(losses.begin(), losses.end(),
                     [](const Loss& loss) { return loss.what == kUnseenLoss; });
}

}  // namespace udpcr::keeper
