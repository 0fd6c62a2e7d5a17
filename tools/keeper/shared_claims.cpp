// SPDX-License-Identifier: LGPL-2.1-or-later
#include "shared_claims.hpp"

#include <algorithm>

#include "packet.hpp"

namespace udpcr::keeper {

namespace {

constexpr std::chrono::milliseconds kPatience{300};

}  // namespace

bool SharedClaims::begin(const Process& claimant, const wire::ClaimMessage& claim, UniqueFd& socket,
                         const std::list<Process>& processes, int signal) {
  wire::ExchangeMessage message{};
  message.header = {wire::Type::exchange, wire::kVersion};
  message.entry = claim.entry;
  message.inode = claim.shared;
  const int fd = socket.get();
  std::vector<pid_t> awaited;
  for (const Process& process : processes) {
    if (process.pid == claimant.pid || process.has_left() || !process.may_be_signalled()) continue;
    if (send_packet(process.channel.get(), &message, sizeof message, std::span(&fd, 1)) &&
        signal_thread(process, process.pid, signal, 0, wire::kExchangeMagic) == 0) {
      awaited.push_back(process.pid);
    }
  }
  if (awaited.empty()) return false;
  pending_.push_back({claimant.pid, claim.entry, std::move(socket), std::move(awaited),
                      std::chrono::steady_clock::now() + kPatience});
  return true;
}

void SharedClaims::exchanged(const Process& process, const wire::ClaimMessage& done,
                             const std::list<Process>& processes) {
  for (auto claim = pending_.begin(); claim != pending_.end(); ++claim) {
    if (claim->entry != done.entry) continue;
    std::erase(claim->awaited, process.pid);
    if (!claim->awaited.empty()) return;
    answer(*claim, processes);
    pending_.erase(claim);
    return;
  }
}

int SharedClaims::expire(const std::list<Process>& processes) {
  const auto now = std::chrono::steady_clock::now();
  while (!pending_.empty()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(pending_.front().deadline - now);
    if (left.count() > 0) return int(left.count()) + 1;
    answer(pending_.front(), processes);
    pending_.pop_front();
  }
  return -1;
}

void SharedClaims::answer(const Pending& claim, const std::list<Process>& processes) {
  const auto claimant =
      std::find_if(processes.begin(), processes.end(),
                   [&](const Process& process) { return process.pid == claim.claimant; });
  if (claimant == processes.end()) return;
  wire::ClaimedMessage message{};
  message.header = {wire::Type::claimed, wire::kVersion};
  const int fd = claim.socket.get();
  send_packet(claimant->channel.get(), &message, sizeof message, std::span(&fd, 1));
}

}  // namespace udpcr::keeper
