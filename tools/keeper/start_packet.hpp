// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The first message of every keeper (wire::StartMessage), and what comes with it.
#pragma once

#include "folder.hpp"
#include "packet.hpp"

namespace udpcr::keeper {

// What stands behind the page, by its kind (wire::kStart*); none when it did not
// come.
const UniqueFd& start_file(const Packet& start, std::uint32_t kind);

// By its path, or as the folder that came.  Throws Error when the message does not
// hold what it states.
ImageFolder image_folder(const Packet& start, bool by_path);

}  // namespace udpcr::keeper
