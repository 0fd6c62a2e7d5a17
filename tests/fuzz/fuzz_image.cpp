// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzzes the reader of images: parse_image(), then every record and datagram.
// Each call may allocate the size of its input and 1 MiB, no more.
//
// A random change nearly always breaks the checksum.  So the mutator takes one
// of three ways: bytes as they come; bytes with a sound header put on; or parts
// of a sound image changed and written anew, which reaches the messages.
#include <sanitizer/allocator_interface.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/crc.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <udpcr/image.hpp>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

using namespace udpcr;

constexpr std::size_t kAllowedBeyondInput = std::size_t{1} << 20;
// Bytes of a datagram with each attribute there is, more than any socket's.
constexpr std::size_t kAllAttributes = 188;

// Bytes allocated and not freed since the watch began.
std::atomic<bool> watching{false};
std::atomic<std::int64_t> live{0};
std::atomic<std::int64_t> allowed{0};

void on_malloc(const volatile void* /*block*/, std::size_t size) {
  if (!watching) return;
  const std::int64_t now = live += static_cast<std::int64_t>(size);
  if (now <= allowed) return;
  watching = false;
  std::fprintf(stderr, "fuzz_image: %lld bytes are allocated where %lld are allowed\n",
               static_cast<long long>(now), static_cast<long long>(allowed.load()));
  std::abort();
}

void on_free(const volatile void* block) {
  if (!watching || block == nullptr) return;
  live -= static_cast<std::int64_t>(__sanitizer_get_allocated_size(const_cast<const void*>(block)));
}

class Watch {
 public:
  explicit Watch(std::size_t input_size) {
    live = 0;
    allowed = static_cast<std::int64_t>(input_size + kAllowedBeyondInput);
    watching = true;
  }
  ~Watch() { watching = false; }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
};

void fail(const char* what) {
  std::fprintf(stderr, "fuzz_image: %s\n", what);
  std::abort();
}

// What was read must read the same after it was written.
void check_record(ByteView message) {
  std::vector<std::uint16_t> unknown;
  try {
    const Watch watch(message.size());
    const SocketRecord record = decode_record(message, unknown);
    if (!(decode_record(encode_record(record), unknown) == record)) fail("a record has changed");
  } catch (const Error&) {
  }
}

void check_queue(const MessageStream& queue) {
  std::size_t offset = 0;
  std::size_t count = 0;
  std::vector<std::uint16_t> unknown;
  for (ByteView message = queue.next(offset); !message.empty(); message = queue.next(offset)) {
    ++count;
    unknown.clear();
    try {
      const Watch watch(message.size());
      const Datagram datagram = decode_datagram(message, unknown);
      const Bytes again = encode_datagram(datagram);
      // A message of the error queue carries its error beside.
      if (!datagram.error &&
          again.size() > datagram.payload.size() + datagram.ip_options.size() + kAllAttributes)
        fail("a datagram has grown too large");
      if (!(decode_datagram(again, unknown) == datagram)) fail("a datagram has changed");
    } catch (const Error&) {
    }
  }
  if (count != queue.count() || offset != queue.bytes().size()) fail("a queue was miscounted");
}

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

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  if (__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) == 0) {
    fail("the hooks that count allocations cannot be installed; build with AddressSanitizer");
  }
  return 0;
}

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
    const Watch watch(size);
    image = parse_image({data, size});
  } catch (const Error&) {
    return 0;
  }
  for (const ImageSocket& socket : image.sockets) {
    check_record(socket.record);
    check_queue(socket.receive_queue);
    check_queue(socket.send_queue);
  }
  if (serialize_image(image).size() < sizeof(udpcr_image_header)) fail("it is not written again");
  return 0;
}
