// SPDX-License-Identifier: LGPL-2.1-or-later
#include "alive.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <future>
#include <system_error>

#include "persist.hpp"
#include "wire.h"

namespace udpcr::keeper {

namespace {

std::uint32_t* counters[2] = {};

// Well within a slice of who waits.
constexpr int kIntervalMs = wire::kSliceMs / 2;

}  // namespace

void show_life_to(Viewer viewer, std::uint32_t* counter) noexcept {
  counters[static_cast<std::size_t>(viewer)] = counter;
}

void show_life() noexcept {
  for (std::uint32_t* const counter : counters) {
    if (counter != nullptr) show_life(*counter);
  }
}

void show_life(std::uint32_t& counter) noexcept {
  // 0 is for a keeper that has not run.
  if (std::atomic_ref(counter).fetch_add(1) == UINT32_MAX) std::atomic_ref(counter).store(1);
}

int poll_alive(pollfd* fds, nfds_t count, int timeout_ms) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    show_life();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    const int interval = int(std::clamp<decltype(left)>(left, 0, kIntervalMs));
    const int ready = persist([&] { return poll(fds, count, interval); });
    if (ready != 0 || left <= 0) return ready;
  }
}

void run_beside(const std::function<void()>& work) {
  std::future<void> done;
  try {
    done = std::async(std::launch::async, work);
  } catch (const std::system_error&) {
    return work();  // no thread is to be had (RLIMIT_NPROC)
  }
  do {
    show_life();
  } while (done.wait_for(std::chrono::milliseconds(kIntervalMs)) != std::future_status::ready);
  done.get();
}

}  // namespace udpcr::keeper
