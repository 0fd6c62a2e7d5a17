// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "keeper/packet.hpp"
#include "keeper/report.hpp"
#include "packet.h"

using namespace udpcr;
using keeper::Outcome;
using keeper::Packet;
using keeper::Received;
using keeper::Report;

namespace {

struct Pair {
  UniqueFd one, other;

  Pair() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    one = UniqueFd(ends[0]);
    other = UniqueFd(ends[1]);
  }
};

wire::WireHeader sound_header(std::uint32_t length) {
  wire::WireHeader header{wire::Type::claim, wire::kVersion};
  header.length = length;
  return header;
}

// Whether a packet that begins so is read, and if not, why.
std::string fate_of(const wire::WireHeader& header, std::size_t size) {
  Bytes bytes(std::max(size, sizeof header));
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.resize(size);
  try {
    keeper::check_packet(bytes);
    return "read";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("a packet is read when its header states what it is") {
  CHECK(fate_of(sound_header(40), 40) == "read");
  CHECK_THAT(fate_of(sound_header(41), 40), Catch::Contains("states 41 bytes has 40"));
  CHECK_THAT(fate_of(sound_header(39), 40), Catch::Contains("states 39 bytes has 40"));
  CHECK_THAT(fate_of(sound_header(8), 8), Catch::Contains("no message"));
  CHECK_THAT(fate_of(sound_header(0), 0), Catch::Contains("no message"));
  wire::WireHeader header = sound_header(40);
  header.magic ^= 1;
  CHECK_THAT(fate_of(header, 40), Catch::Contains("no message"));
  header = sound_header(40);
  header.version = 999;
  CHECK_THAT(fate_of(header, 40), Catch::Contains("version 999"));
  for (const std::uint32_t type : {0U, std::uint32_t(wire::kLastType) + 1, ~0U}) {
    header = sound_header(40);
    header.type = wire::Type(type);
    CHECK_THAT(fate_of(header, 40), Catch::Contains("no message"));
  }
}

TEST_CASE("both senders fill in the length, and both readers take what they send") {
  const Pair pair;
  wire::ClaimMessage claim{{wire::Type::claim, wire::kVersion}, 7, 0, 9};
  const int fd = pair.one.get();
  SECTION("shim to keeper, in pieces, with an fd") {
    char more[] = "more";
    const iovec pieces[] = {{&claim, sizeof claim}, {more, sizeof more}};
    REQUIRE(packet::send(pair.one.get(), pieces, 2, &fd, 1) == 0);
    Packet packet;
    REQUIRE(keeper::receive_packet(pair.other.get(), packet) == Received::packet);
    CHECK(packet.data.size() == sizeof claim + sizeof more);
    CHECK(packet.as<wire::ClaimMessage>().header.length == packet.data.size());
    CHECK(packet.as<wire::ClaimMessage>().shared == 9);
    CHECK(packet.fds.size() == 1);
  }
  SECTION("keeper to shim") {
    REQUIRE(keeper::send_packet(pair.one.get(), &claim, sizeof claim, std::span(&fd, 1)));
    wire::ClaimMessage read{};
    int arrived_fd = -1;
    packet::Arrived arrived{};
    REQUIRE(packet::receive(pair.other.get(), &read, sizeof read, &arrived_fd, 1, arrived) ==
            sizeof read);
    CHECK(read.header.length == sizeof read);
    CHECK(read.entry == 7);
    REQUIRE(arrived.fd_count == 1);
    close(arrived_fd);
  }
  SECTION("the shim's reader refuses one that is cut, and keeps none of its fds") {
    claim.header.length = sizeof claim + 1;
    REQUIRE(send(pair.one.get(), &claim, sizeof claim, 0) == sizeof claim);
    wire::ClaimMessage read{};
    packet::Arrived arrived{};
    CHECK(packet::receive(pair.other.get(), &read, sizeof read, nullptr, 0, arrived) == -1);
    CHECK(errno == EPROTO);
  }
}

TEST_CASE("a report comes as it was sent") {
  const Pair pair;
  const Report sent{Outcome::kept_in_part, "image /a: b: 2 sockets\nlost: x\n", "/a: b", 2, 3, 1};
  REQUIRE(sent.send(pair.one.get()));
  Report read;
  REQUIRE(Report::receive(pair.other.get(), read) == Received::packet);
  CHECK(read.outcome == sent.outcome);
  CHECK(read.path == sent.path);
  CHECK(read.text == sent.text);
  CHECK(read.sockets == 2);
  CHECK(read.datagrams == 3);
  CHECK(read.losses == 1);
  REQUIRE(Report{Outcome::failed, std::string(100'000, 'x')}.send(pair.one.get()));
  REQUIRE(Report::receive(pair.other.get(), read) == Received::packet);
  CHECK(read.path.empty());
  CHECK(read.text.size() == 65536);
}

TEST_CASE("a report that states more than it has is refused") {
  wire::ReportMessage message;
  for (const auto& [path, text] : {std::pair{1U, 0U}, {0U, 1U}, {~0U, 1U}, {1U, ~0U}, {~0U, ~0U}}) {
    message.path_size = path;
    message.text_size = text;
    Packet packet;
    packet.data.resize(sizeof message);
    std::memcpy(packet.data.data(), &message, sizeof message);
    CHECK_THROWS_AS(Report::from(packet), Error);
  }
}
