// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What an older module does not know is held back from it.
#pragma once

#include <map>
#include <set>
#include <udpcr/udpcr.hpp>

namespace udpcr {

// How many datagrams of a queue have each attribute.
using AttributeCounts = std::map<std::uint16_t, std::size_t>;
AttributeCounts count_attributes(const MessageStream& datagrams);

// The same datagrams without the attributes that are not in `accepted`.
MessageStream keep_attributes(const MessageStream& datagrams,
                              const std::set<std::uint16_t>& accepted);

}  // namespace udpcr
