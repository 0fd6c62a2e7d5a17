// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzzes decode_record(): what an image or the kernel module tells of a socket.
#include "watch.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  udpcr::fuzz::check_record({data, size});
  return 0;
}
