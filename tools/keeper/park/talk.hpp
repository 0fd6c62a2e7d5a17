// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Talk of parked sockets (protocol/park.h).
#pragma once

#include <string>

#include "key.hpp"

namespace udpcr::keeper {

using wire::kParkBatch;
using wire::ParkedEntry;
using wire::ParkQuestion;
using wire::ParkReply;
using wire::ParkRequest;

// The stem of the abstract names of keepers that have some (abstract_name.hpp).
std::string park_stem(std::uint64_t image, const wire::NameOwner& owner);

}  // namespace udpcr::keeper
