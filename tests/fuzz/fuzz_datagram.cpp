// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzzes decode_datagram(): a message of a receive, send or error queue.
#include "watch.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  udpcr::fuzz::check_datagram({data, size});
  return 0;
}
