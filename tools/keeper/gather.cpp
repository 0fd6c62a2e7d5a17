// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gather.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "persist.hpp"
#include "unknown_children.hpp"

namespace udpcr::keeper {

namespace {

using namespace std::chrono_literals;

// A process that does not send its fds by then is stopped, or stuck in the
// kernel.
constexpr auto kFdPatience = 20s;
// Threads that block every signal (helpers of the C library) never come: when
// only such are missing, this is how long they are waited for.
constexpr auto kBlockedPatience = 300ms;
// And this for a thread that does take signals but is busy in the kernel.
constexpr auto kThreadPatience = 2s;

}  // namespace

Gathering::Gathering(std::list<Process>& processes, int signal, Page& page, Log& log)
    : processes_(processes), signal_(signal), page_(page), log_(log) {
  std::uint32_t furthest = 0;
  for (const Process& process : processes_) {
    furthest = std::max(furthest, fd_table_size(process.pid));
  }
  page_.scan_to(furthest);
  page_.freeze();
  signal_new_threads();
}

void Gathering::signal_new_threads() {
  threads_ = 0;
  not_blocking_ = 0;
  for (const Process& process : processes_) {
    if (process.has_left() || process.ended()) continue;
    std::vector<pid_t> threads = threads_of(process.pid);
    // Without /proc: the one thread that we can name.
    if (threads.empty()) threads.push_back(process.pid);
    threads_ += threads.size();
    std::optional<bool> may;
    for (const pid_t thread : threads) {
      if (std::find(signalled_.begin(), signalled_.end(), thread) != signalled_.end()) continue;
      // A process that has sent its fds and has one thread waits already.
      if (process.sent_all && threads.size() == 1) continue;
      // It may yet show who it is.
      if (process.unanswered) continue;
      if (!may) may = process.may_be_signalled();
      const int error = *may ? signal_thread(process, thread, signal_, page_.epoch()) : EPERM;
      // It is asked again in the next step, while there is time.
      if (is_passing(error)) continue;
      signalled_.push_back(thread);
      if (error != 0 && error != ESRCH && not_frozen_.empty()) {
        not_frozen_ = "process " + std::to_string(process.pid) +
                      " may not be signalled by the keeper (" + std::strerror(error) + ")";
      }
    }
    not_blocking_ += threads_not_blocking(process.pid, threads, signal_);
  }
}

Gathering::State Gathering::step() {
  if (page_.has_moved()) {
    failure_ = "the program waited no longer, and goes on; try again";
    return State::failed;
  }
  bool all_sent = true;
  pid_t missing = 0;
  for (Process& process : processes_) {
    if (!process.failure.empty()) {
      failure_ = std::exchange(process.failure, {});
      return State::failed;
    }
    if (process.channel_ended || process.ended() || process.sent_all) continue;
    if (process.unanswered && elapsed() > kBlockedPatience) {
      if (not_frozen_.empty()) {
        not_frozen_ = "process " + std::to_string(process.pid) +
                      ", a child of the program, has not shown who it is";
      }
      continue;
    }
    all_sent = false;
    missing = process.pid;
  }
  if (!all_sent) {
    if (elapsed() < kFdPatience) return State::waiting;
    failure_ = "process " + std::to_string(missing) + " did not answer within " +
               std::to_string(kFdPatience / 1s) +
               " s; if it is stopped, continue it (kill -CONT) and try again";
    return State::failed;
  }
  signal_new_threads();
  const std::uint32_t parked = page_.parked();
  if (parked >= threads_) return complete();
  if (not_blocking_ == 0 && elapsed() > kBlockedPatience) {
    log_.info(std::to_string(threads_ - parked) +
              " threads block every signal and are not waited for");
    return complete();
  }
  if (elapsed() < kThreadPatience) return State::waiting;
  if (not_frozen_.empty()) {
    not_frozen_ = std::to_string(threads_ - parked) + " of " + std::to_string(threads_) +
                  " threads did not stop within " + std::to_string(kThreadPatience / 1s) + " s";
  }
  return complete();
}

// A child of fork is about to make itself known.
Gathering::State Gathering::complete() {
  unknown_ = unknown_children(processes_);
  return unknown_.empty() || elapsed() > kBlockedPatience ? State::complete : State::waiting;
}

Gathered Gathering::take() {
  Gathered gathered;
  gathered.not_frozen = not_frozen_;
  for (Process& process : processes_) {
    if (!process.sent_all) continue;
    gathered.members.push_back(
        {process.pid, process.pidfd.get(), process.may_be_signalled(), std::move(process.sent)});
    process.sent.clear();
    process.sent_all = false;
  }
  for (const pid_t child : unknown_) {
    if (name_unknown_child(child, gathered.losses) && gathered.not_frozen.empty()) {
      gathered.not_frozen = "process " + std::to_string(child) + " is not known to udpcr";
    }
  }
  return gathered;
}

}  // namespace udpcr::keeper
