// SPDX-License-Identifier: LGPL-2.1-or-later
#include <linux/genetlink.h>

#include <cstring>
#include <limits>
#include <udpcr/udpcr.hpp>

namespace udpcr {
namespace {

constexpr std::size_t kLengthSize = sizeof(std::uint32_t);

// Messages follow each other without padding, so a length stands at any address.
std::uint32_t length_at(const Bytes& bytes, std::size_t offset) noexcept {
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data() + offset, kLengthSize);
  return length;
}

[[noreturn]] void broken(std::size_t offset, const std::string& what) {
  throw Error("broken message stream: at byte " + std::to_string(offset) + " " + what +
              "; take a new checkpoint");
}

}  // namespace

MessageStream MessageStream::from_bytes(Bytes bytes) {
  MessageStream stream;
  for (std::size_t offset = 0; offset < bytes.size();) {
    const std::size_t left = bytes.size() - offset;
    if (left < kLengthSize) {
      broken(offset,
             "stand " + std::to_string(left) + " bytes where a length of 4 bytes has to be");
    }
    const std::size_t length = length_at(bytes, offset);
    if (length < GENL_HDRLEN) {
      broken(offset, "a message claims a length of " + std::to_string(length) +
                         " bytes, less than its header of " + std::to_string(GENL_HDRLEN));
    }
    if (length > left - kLengthSize) {
      broken(offset, "a message claims a length of " + std::to_string(length) + " bytes, but " +
                         std::to_string(left - kLengthSize) + " are left");
    }
    offset += kLengthSize + length;
    ++stream.count_;
  }
  stream.bytes_ = std::move(bytes);
  return stream;
}

void MessageStream::append(ByteView message) {
  if (message.size() < GENL_HDRLEN || message.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw Error("cannot append a message of " + std::to_string(message.size()) +
                " bytes to a stream: its header alone takes " + std::to_string(GENL_HDRLEN) +
                "; encode it with encode_datagram()");
  }
  const auto length = static_cast<std::uint32_t>(message.size());
  const auto* const length_bytes = reinterpret_cast<const std::uint8_t*>(&length);
  bytes_.insert(bytes_.end(), length_bytes, length_bytes + kLengthSize);
  bytes_.insert(bytes_.end(), message.begin(), message.end());
  ++count_;
}

ByteView MessageStream::next(std::size_t& offset) const noexcept {
  if (offset >= bytes_.size()) return {};
  const std::size_t length = length_at(bytes_, offset);
  const ByteView message(bytes_.data() + offset + kLengthSize, length);
  offset += kLengthSize + length;
  return message;
}

}  // namespace udpcr
