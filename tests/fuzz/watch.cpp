// SPDX-License-Identifier: LGPL-2.1-or-later
#include "watch.hpp"

#include <sanitizer/allocator_interface.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace udpcr::fuzz {
namespace {

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
  std::fprintf(stderr, "fuzz: %lld bytes are allocated where %lld are allowed\n",
               static_cast<long long>(now), static_cast<long long>(allowed.load()));
  std::abort();
}

void on_free(const volatile void* block) {
  if (!watching || block == nullptr) return;
  live -= static_cast<std::int64_t>(__sanitizer_get_allocated_size(const_cast<const void*>(block)));
}

}  // namespace

void fail(const char* what) {
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

Watch::Watch(std::size_t input_size) {
  live = 0;
  allowed = static_cast<std::int64_t>(input_size + kAllowedBeyondInput);
  watching = true;
}

Watch::~Watch() { watching = false; }

void check_record(ByteView message) {
  std::vector<std::uint16_t> unknown;
  try {
    const Watch watch(message.size());
    const SocketRecord record = decode_record(message, unknown);
    if (!(decode_record(encode_record(record), unknown) == record)) fail("a record has changed");
  } catch (const Error&) {
  }
}

void check_datagram(ByteView message) {
  std::vector<std::uint16_t> unknown;
  try {
    const Watch watch(message.size());
    const Datagram datagram = decode_datagram(message, unknown);
    const Bytes again = encode_datagram(datagram);
    // A message of the error queue carries its error beside.
    if (!datagram.error &&
        again.size() > datagram.payload.size() + datagram.ip_options.size() + kAllAttributes) {
      fail("a datagram has grown too large");
    }
    if (!(decode_datagram(again, unknown) == datagram)) fail("a datagram has changed");
  } catch (const Error&) {
  }
}

void check_queue(const MessageStream& queue) {
  std::size_t offset = 0;
  std::size_t count = 0;
  for (ByteView message = queue.next(offset); !message.empty(); message = queue.next(offset)) {
    ++count;
    check_datagram(message);
  }
  if (count != queue.count() || offset != queue.bytes().size()) fail("a queue was miscounted");
}

}  // namespace udpcr::fuzz

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  using namespace udpcr::fuzz;
  if (__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) == 0) {
    fail("the hooks that count allocations cannot be installed; build with AddressSanitizer");
  }
  return 0;
}
