// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <udpcr/udpcr.hpp>
#include <vector>

namespace udpcr::keeper::monitor {

// One packet: a structure and what follows it.  False: the other end is gone.
bool send_parts(int channel, ByteView head, ByteView rest, std::span<const int> fds);

// One packet, which is not waited for.  `size`: bytes that have come; a packet or fds
// that were cut count as none.  False: nothing has come, or the end.
bool receive_parts(int channel, std::span<std::uint8_t> buffer, std::size_t& size,
                   std::vector<UniqueFd>& fds);

}  // namespace udpcr::keeper::monitor
