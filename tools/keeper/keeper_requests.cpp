// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the program asks of its keeper beside checkpoints.  It waits for each
// answer, so each comes, whatever happens.
#include <sys/socket.h>

#include <cerrno>

#include "keeper.hpp"

namespace udpcr::keeper {

void Keeper::answer_claim(Process& process, Packet& packet) {
  const auto claim = packet.as<wire::ClaimMessage>();
  wire::ClaimedMessage answer{};
  answer.header = {wire::Type::claimed, wire::kVersion};
  UniqueFd socket;
  // The program waits for the answer, whatever happens.
  try {
    if (claim.header.type == wire::Type::claim) {
      answer.status = held_.claim(claim.entry, process.pid, socket);
      if (answer.status == 0 && claim.shared != 0 &&
          shared_claims_.begin(process, claim, socket, processes_, settings_.signal)) {
        return;
      }
    } else if (claim.header.type == wire::Type::release) {
      answer.status = held_.release(claim.entry);
    } else {
      answer.status = packet.fds.size() == 1
                          ? held_.take_back(claim.entry, std::move(packet.fds.front()))
                          : EBADF;
    }
  } catch (const Error& error) {
    log_.error("process " + std::to_string(process.pid) + ": " + error.what());
    if (!socket) answer.status = error.error_number() != 0 ? error.error_number() : EIO;
  }
  const int fd = socket.get();
  const bool taken = send_packet(process.channel.get(), &answer, sizeof answer,
                                 std::span<const int>(&fd, socket ? 1 : 0));
  // Nobody waits for it: it is held again, and closed with the others.
  if (!taken && socket) held_.take_back(claim.entry, std::move(socket));
}

void Keeper::park(Process& process, Packet& packet) {
  const auto message = packet.as<wire::ParkMessage>();
  if (packet.fds.size() != 1) throw Error("a park message carries no socket");
  parks_.add(message.entry, process.pid, std::move(packet.fds.front()));
}

void Keeper::unpark(Process& process, const Packet& packet) {
  try {
    if (packet.type() == wire::Type::unpark) {
      parks_.unpark(packet.as<wire::UnparkMessage>().inode, process.pid);
    } else if (const auto sweep = packet.as<wire::SweepMessage>(); sweep.executes != 0) {
      parks_.executes(process.pid);
    } else {
      parks_.sweep(process.pid, std::uint16_t(sweep.port));
    }
  } catch (const Error& error) {
    log_.error("process " + std::to_string(process.pid) + ": " + error.what());
  }
  wire::ClaimedMessage answer{};
  answer.header = {wire::Type::claimed, wire::kVersion};
  send_packet(process.channel.get(), &answer, sizeof answer, {});
}

}  // namespace udpcr::keeper
