// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper_request.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "persist.hpp"

namespace udpcr {
namespace {

// A program that executes itself has another keeper; how long the old one may
// take to notice.
constexpr int kLeavePatienceMs = 500;
constexpr int kLeavePollMs = 20;

// False: the keeper hung up.
bool ask_once(pid_t pid, const std::string& request, int timeout_seconds, keeper::Report& report) {
  const UniqueFd control = keeper::connect_control(pid);
  const auto send_request = [&] {
    return send(control.get(), request.data(), request.size(), MSG_NOSIGNAL);
  };
  if (persist(send_request) < 0) {
    throw Error("the keeper of process " + std::to_string(pid) + " does not take the request: " +
                    std::strerror(errno) + "; only root and its own user may ask",
                errno);
  }
  using namespace std::chrono;
  const auto deadline = steady_clock::now() + seconds(timeout_seconds);
  for (;;) {
    const keeper::Received received = keeper::Report::receive(control.get(), report);
    if (received != keeper::Received::nothing) return received == keeper::Received::packet;
    const auto left = duration_cast<milliseconds>(deadline - steady_clock::now());
    if (timeout_seconds != 0 && left.count() <= 0) {
      throw Error(
          "process " + std::to_string(pid) + " has not been checkpointed after " +
              std::to_string(timeout_seconds) +
              " s; if it is stopped, continue it (kill -CONT), or wait longer with --timeout",
          ETIMEDOUT);
    }
    // Where poll(2) or the look at the answer fails it is tried again.
    pollfd answer{control.get(), POLLIN, 0};
    const int result = poll(&answer, 1, timeout_seconds == 0 ? 1000 : int(left.count()));
    if (result != 0) std::this_thread::sleep_for(1ms);
  }
}

}  // namespace

keeper::Report ask_keeper(pid_t pid, const std::string& request, int timeout_seconds) {
  keeper::Report report;
  for (int waited_ms = 0; !ask_once(pid, request, timeout_seconds, report);
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
