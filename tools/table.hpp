// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Tables for a terminal.
#pragma once

#include <string>
#include <udpcr/udpcr.hpp>
#include <vector>

namespace udpcr::tool {

using Row = std::vector<std::string>;

// Columns as wide as they have to be, two blanks between them; the columns
// from `first_number` to `last_number` are aligned to the right.
std::string columns(const std::vector<Row>& rows, std::size_t first_number, std::size_t last_number,
                    const std::string& indent = "");

std::string or_dash(const std::string& text);
// "-" for a socket that is not bound.
std::string local_text(const SocketRecord& record);
// "receiving", "sending", "receiving and sending"; `state`: UDPCR_A_SHUTDOWN.
std::string shutdown_text(unsigned state);

}  // namespace udpcr::tool
