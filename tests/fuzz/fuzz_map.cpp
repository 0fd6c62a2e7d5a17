// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzzes AddressMap: the text of UDPCR_MAP up to the first NUL, and what it does
// to a socket whose record stands behind that, in an image that others may have
// written.
#include "address_map.hpp"

#include <algorithm>
#include <string_view>

#include "image_sample.hpp"
#include "watch.hpp"

namespace {

using namespace udpcr;

SocketState state_with(ByteView message) {
  SocketState state;
  std::vector<std::uint16_t> unknown;
  try {
    state.record = decode_record(message, unknown);
  } catch (const Error&) {
    state.record = test::full_record();
  }
  state.receive_queue.append(encode_datagram(test::full_datagram(4)));
  state.send_queue.append(encode_datagram(test::full_datagram(0)));
  state.error_queue.append(encode_datagram(test::full_error(2)));
  return state;
}

// Addresses, ports and interfaces may be others, and nothing else.
void check_mapped(const SocketState& before, const SocketState& after) {
  if (after.record.family != before.record.family ||
      after.record.local.family != before.record.local.family ||
      after.record.peer.has_value() != before.record.peer.has_value() ||
      after.record.options.size() != before.record.options.size() ||
      after.record.memberships.size() != before.record.memberships.size() ||
      after.receive_queue.count() != before.receive_queue.count() ||
      after.send_queue.count() != before.send_queue.count()) {
    fuzz::fail("a map has changed more than addresses");
  }
  for (std::size_t i = 0; i < before.record.options.size(); ++i) {
    if (after.record.options[i].value.size() != before.record.options[i].value.size()) {
      fuzz::fail("a map has changed an option's size");
    }
  }
  std::vector<std::uint16_t> unknown;
  if (!(decode_record(encode_record(after.record), unknown) == after.record)) {
    fuzz::fail("a mapped record is not written as it is");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::uint8_t* const end = std::find(data, data + size, std::uint8_t{0});
  const std::string_view text(reinterpret_cast<const char*>(data), std::size_t(end - data));
  AddressMap map;
  try {
    const fuzz::Watch watch(size);
    map = AddressMap::parse(text);
  } catch (const Error&) {
    return 0;
  }
  if (map.empty() != text.empty()) fuzz::fail("a pair was dropped, or made up");
  const SocketState before =
      state_with(end == data + size ? ByteView{} : ByteView(end + 1, data + size));
  SocketState after = before;
  map.apply(after);
  check_mapped(before, after);
  return 0;
}
