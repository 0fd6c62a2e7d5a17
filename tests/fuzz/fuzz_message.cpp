// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzzes the reader of messages (common/protocol): the check of the header that every
// packet passes, then what reads messages that are not of one size.
//
// A random change nearly always breaks the header, so the mutator mends it, most
// times.
#include <cstring>
#include <random>

#include "keeper/identity.hpp"
#include "keeper/packet.hpp"
#include "keeper/report.hpp"
#include "keeper/told_options.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

using namespace udpcr;
using keeper::Packet;

void read_as_told(const Packet& packet) {
  switch (packet.type()) {
    case wire::Type::hello: {
      const keeper::Identity identity = keeper::Identity::from_hello(packet);
      if (identity.live.size() > wire::kMostLive) __builtin_trap();
      return;
    }
    case wire::Type::report: {
      const keeper::Report report = keeper::Report::from(packet);
      if (report.path.size() + report.text.size() > packet.data.size()) __builtin_trap();
      return;
    }
    case wire::Type::option: {
      keeper::ToldOptions told;
      told.take(packet);
      return;
    }
    case wire::Type::start:
      static_cast<void>(packet.as<wire::StartMessage>());
      return;
    case wire::Type::park_ask:
      static_cast<void>(packet.as<wire::ParkRequest>());
      return;
    default:
      static_cast<void>(packet.as<wire::ClaimMessage>());
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  const std::size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (mutated < sizeof(wire::WireHeader) || random() % 8 == 0) return mutated;
  wire::WireHeader header;
  std::memcpy(&header, data, sizeof header);
  header.magic = wire::kMagic;
  header.version = wire::kVersion;
  header.length = static_cast<std::uint32_t>(mutated);
  if (random() % 2 == 0) {
    constexpr wire::Type kSizes[] = {wire::Type::hello, wire::Type::report, wire::Type::option};
    header.type = kSizes[random() % 3];
  }
  std::memcpy(data, &header, sizeof header);
  return mutated;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Packet packet;
  packet.data.assign(data, data + size);
  try {
    keeper::check_packet(packet.data);
    read_as_told(packet);
  } catch (const Error&) {
  }
  return 0;
}
