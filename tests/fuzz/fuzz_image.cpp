// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzzes the reader of images: parse_image(), then every record and datagram.
//
// A random change nearly always breaks the checksum.  So the mutator takes one
// of three ways: bytes as they come; bytes with a sound header put on; or parts
// of a sound image changed and written anew, which reaches the messages.
#include <algorithm>
#include <boost/crc.hpp>
#include <cstring>
#include <random>
#include <udpcr/image.hpp>

#include "watch.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

using namespace udpcr;

using fuzz::fail;

using Random = std::minstd_rand;

std::size_t below(Random& random, std::size_t limit) { return random() % limit; }

Bytes mutate(const Bytes& bytes, std::size_t room) {
  Bytes result = bytes;
  result.resize(bytes.size() + room);
  result.resize(LLVMFuzzerMutate(result.data(), bytes.size(), result.size()));
  return result;
}

MessageStream mutate(const MessageStream& queue, Random& random) {
  if (queue.empty()) {
    MessageStream fresh;
    Datagram datagram;
    datagram.payload = {1};
    fresh.append(encode_datagram(datagram));
    return fresh;
  }
  MessageStream result;
  const std::size_t changed = below(random, queue.count());
  std::size_t offset = 0;
  for (std::size_t i = 0; i < queue.count(); ++i) {
    const ByteView message = queue.next(offset);
    Bytes bytes(message.begin(), message.end());
    if (i == changed) bytes = mutate(bytes, 32);
    if (bytes.size() >= 4) result.append(bytes);
  }
  return result;
}

// Changes one part of a sound image; nothing when `data` is none.
Bytes mutate_parts(ByteView data, Random& random) {
  Image image;
  try {
    image = parse_image(data);
    if (image.sockets.empty()) return {};
    ImageSocket& socket = image.sockets[below(random, image.sockets.size())];
    switch (below(random, 8)) {
      case 0:
      case 1:
      case 2:
        socket.record = mutate(socket.record, 64);
        break;
      case 3:
      case 4:
        socket.receive_queue = mutate(socket.receive_queue, random);
        break;
      case 5:
        socket.send_queue = mutate(socket.send_queue, random);
        break;
      case 6:
        socket.losses.push_back({"what", std::string(below(random, 40), 'y'), ""});
        break;
      default:
        image.arguments.emplace_back(below(random, 40), 'a');
    }
    return serialize_image(image);
  } catch (const Error&) {
    return {};
  }
}

// Puts a sound header on whatever follows it.
void seal(std::uint8_t* data, std::size_t size, Random& random) {
  udpcr_image_header header{};
  if (size < sizeof header) return;
  std::memcpy(&header, data, sizeof header);
  std::memcpy(header.magic, UDPCR_IMAGE_MAGIC, sizeof header.magic);
  header.byte_order = UDPCR_IMAGE_BYTE_ORDER;
  header.version = UDPCR_IMAGE_VERSION;
  if (header.header_size < sizeof header || header.header_size > size || below(random, 16) != 0) {
    header.header_size = sizeof header;
  }
  const std::size_t rest = size - header.header_size;
  // The first structure's length says where the metadata ends.
  std::uint32_t program = 0;
  if (rest >= sizeof program) std::memcpy(&program, data + header.header_size, sizeof program);
  header.metadata_size = std::min<std::size_t>(rest, std::size_t{program} + sizeof program);
  header.queues_size = rest - header.metadata_size;
  std::uint32_t name_size = 0;
  if (rest >= 8) std::memcpy(&name_size, data + header.header_size + 4, sizeof name_size);
  if (name_size <= rest && rest - name_size >= 8) {
    header.exe_hash =
        udpcr_identity_hash(UDPCR_HASH_START, data + header.header_size + 8, name_size);
  }
  header.checksum = 0;
  std::memcpy(data, &header, sizeof header);
  boost::crc_32_type crc;
  crc.process_bytes(data, size);
  header.checksum = crc.checksum();
  std::memcpy(data, &header, sizeof header);
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  Random random(seed);
  const std::size_t way = below(random, 4);
  if (way == 0) {
    const Bytes changed = mutate_parts({data, size}, random);
    if (!changed.empty() && changed.size() <= max_size) {
      std::copy(changed.begin(), changed.end(), data);
      return changed.size();
    }
  }
  const std::size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (way != 3) seal(data, mutated, random);
  return mutated;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Image image;
  try {
    const fuzz::Watch watch(size);
    image = parse_image({data, size});
  } catch (const Error&) {
    return 0;
  }
  for (const ImageSocket& socket : image.sockets) {
    fuzz::check_record(socket.record);
    fuzz::check_queue(socket.receive_queue);
    fuzz::check_queue(socket.send_queue);
  }
  if (serialize_image(image).size() < sizeof(udpcr_image_header)) fail("it is not written again");
  return 0;
}
