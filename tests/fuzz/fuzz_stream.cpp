// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzzes MessageStream: a queue as it stands in an image, each of its messages,
// and the same messages appended one by one.
#include <algorithm>

#include "watch.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace udpcr;
  MessageStream queue;
  try {
    const fuzz::Watch watch(size);
    queue = MessageStream::from_bytes(Bytes(data, data + size));
  } catch (const Error&) {
    return 0;
  }
  fuzz::check_queue(queue);
  MessageStream again;
  std::size_t offset = 0;
  for (ByteView message = queue.next(offset); !message.empty(); message = queue.next(offset)) {
    again.append(message);
  }
  if (again.count() != queue.count() || again.bytes() != queue.bytes() ||
      !std::equal(data, data + size, again.bytes().begin())) {
    fuzz::fail("a queue has changed");
  }
  return 0;
}
