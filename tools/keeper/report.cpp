// SPDX-License-Identifier: LGPL-2.1-or-later
#include "report.hpp"

#include <climits>
#include <cstring>

namespace udpcr::keeper {

namespace {

// Beyond it only the log and the image have every line.
constexpr std::size_t kMostText = std::size_t{64} << 10;
static_assert(sizeof(wire::ReportMessage) + PATH_MAX + kMostText <= wire::kMaxPacket);

}  // namespace

bool Report::send(int channel) const {
  wire::ReportMessage message;
  message.outcome = std::uint32_t(outcome);
  message.sockets = sockets;
  message.datagrams = datagrams;
  message.losses = losses;
  const std::string its_path = path.substr(0, PATH_MAX);
  const std::string its_text = text.substr(0, kMostText);
  message.path_size = std::uint32_t(its_path.size());
  message.text_size = std::uint32_t(its_text.size());
  std::string packet(sizeof message, 0);
  std::memcpy(packet.data(), &message, sizeof message);
  packet += its_path + its_text;
  return send_packet(channel, packet.data(), packet.size(), {});
}

Report Report::from(const Packet& packet) {
  const auto message = packet.as<wire::ReportMessage>();
  if (message.header.type != wire::Type::report ||
      packet.data.size() != sizeof message + std::uint64_t{message.path_size} + message.text_size) {
    throw Error("the report of the checkpoint does not hold what it states");
  }
  const char* const path = reinterpret_cast<const char*>(packet.data.data()) + sizeof message;
  Report report;
  report.outcome = message.outcome == std::uint32_t(Outcome::kept)           ? Outcome::kept
                   : message.outcome == std::uint32_t(Outcome::kept_in_part) ? Outcome::kept_in_part
                   : message.outcome == std::uint32_t(Outcome::captured)     ? Outcome::captured
                                                                             : Outcome::failed;
  report.path.assign(path, message.path_size);
  report.text.assign(path + message.path_size, message.text_size);
  report.sockets = message.sockets;
  report.datagrams = message.datagrams;
  report.losses = message.losses;
  return report;
}

Received Report::receive(int channel, Report& report) {
  try {
    Packet packet;
    const Received received = receive_packet(channel, packet);
    if (received == Received::packet) report = from(packet);
    return received;
  } catch (const Error&) {
    return Received::end;
  }
}

}  // namespace udpcr::keeper
