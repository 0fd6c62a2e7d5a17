// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the fuzz targets share: each call of a reader may allocate the size of its
// input and 1 MiB, no more; and what was read must read the same after it was
// written.
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr::fuzz {

// Ends the run: a finding.
[[noreturn]] void fail(const char* what);

// Counts what is allocated and not freed while it lives; one at a time.
class Watch {
 public:
  explicit Watch(std::size_t input_size);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
};

// A message that is refused is none; one that is taken must keep its meaning.
void check_record(ByteView message);
void check_datagram(ByteView message);
void check_queue(const MessageStream& queue);

}  // namespace udpcr::fuzz
