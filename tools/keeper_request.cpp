// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper_request.hpp"

#include <poll.h>

#include <cerrno>
#include <cstring>

namespace udpcr {
namespace {

// A program that executes itself has another keeper; how long the old one may
// take to notice.
constexpr int kLeavePatienceMs = 500;
constexpr int kLeavePollMs = 20;

// False: the keeper hung up.
bool ask_once(pid_t pid, wire::Order order, int timeout_seconds, keeper::Report& report) {
  const UniqueFd control = keeper::connect_control(pid);
  wire::OrderMessage message;
  message.order = order;
  if (!keeper::send_packet(control.get(), &message, sizeof message, {})) {
    if (errno == ECONNRESET || errno == EPIPE) return false;
    throw Error("the keeper of process " + std::to_string(pid) + " does not take the request: " +
                    std::strerror(errno) + "; only root and its own user may ask",
                errno);
  }
  keeper::Packet answer;
  const keeper::Received received = keeper::await_packet(
      control.get(), answer, timeout_seconds == 0 ? -1 : timeout_seconds * 1000);
  if (received == keeper::Received::nothing) {
    throw Error("process " + std::to_string(pid) + " has not been checkpointed after " +
                    std::to_string(timeout_seconds) +
                    " s; if it is stopped, continue it (kill -CONT), or wait longer with --timeout",
                ETIMEDOUT);
  }
  if (received == keeper::Received::packet) report = keeper::Report::from(answer);
  return received == keeper::Received::packet;
}

}  // namespace

keeper::Report ask_keeper(pid_t pid, wire::Order order, int timeout_seconds) {
  keeper::Report report;
  for (int waited_ms = 0; !ask_once(pid, order, timeout_seconds, report);
       waited_ms += kLeavePollMs) {
    if (waited_ms >= kLeavePatienceMs) {
      throw Error("the keeper of process " + std::to_string(pid) +
                  " has ended or refused: only root and its own user may ask; see the program's "
                  "stderr or UDPCR_LOG_FILE");
    }
    poll(nullptr, 0, kLeavePollMs);
  }
  return report;
}

}  // namespace udpcr
