// SPDX-License-Identifier: LGPL-2.1-or-later
#include "program_socket.hpp"

#include <poll.h>

#include <cerrno>
#include <chrono>

#include "keeper/alive.hpp"

namespace udpcr::keeper {

namespace {

// The program does nothing else meanwhile.
constexpr std::chrono::seconds kPatience{5};
// What it says all the same.
constexpr std::size_t kMostEarly = 64;

UniqueFd refuse(int error_number) {
  errno = error_number;
  return {};
}

UniqueFd take_made(Packet& packet) {
  const int status = packet.as<wire::MadeMessage>().status;
  if (status != 0) return refuse(status);
  if (packet.fds.size() != 1 || !is_udp_socket(packet.fds.front().get())) return refuse(EPROTO);
  return std::move(packet.fds.front());
}

}  // namespace

UniqueFd socket_of_program(Process& process, int family, int protocol) {
  const wire::MakeMessage wanted{{wire::Type::make, wire::kVersion}, family, protocol};
  const int channel = process.channel.get();
  if (!send_packet(channel, &wanted, sizeof wanted, {})) return refuse(EPIPE);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd answer{channel, POLLIN, 0};
    if (left.count() <= 0 || poll_alive(&answer, 1, int(left.count())) == 0)
      return refuse(ETIMEDOUT);
    Packet packet;
    const Received received = receive_packet(channel, packet);
    if (received == Received::end) return refuse(EPIPE);
    if (received == Received::nothing) continue;
    if (packet.type() == wire::Type::made) return take_made(packet);
    if (process.early.size() == kMostEarly) return refuse(EMSGSIZE);
    process.early.push_back(std::move(packet));
  }
}

}  // namespace udpcr::keeper
