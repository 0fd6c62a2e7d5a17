// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A checkpoint, from the request to the answer.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "alive.hpp"
#include "keeper.hpp"

namespace udpcr::keeper {

void Keeper::begin_checkpoint() {
  wanted_ = false;
  page_->begin();
  // One that has executed another program since has another keeper: it is asked
  // again when we hang up.
  clients_.remove_if([this](const Client& client) { return client.asked && !is_here(client.pid); });
  restart_ = false;
  for (Client& client : clients_) {
    client.served = client.asked;
    if (client.served && client.restarts) restart_ = true;
  }
  // Of an earlier checkpoint with UDPCR_AFTER=stop, whose program goes on.
  if (worker_ != 0) {
    kill(worker_, SIGKILL);
    await_worker();
  }
  if (!may_write_image()) return;
  try {
    gathering_.emplace(processes_, settings_.signal, *page_, log_);
  } catch (const Error& error) {
    fail_checkpoint(error.what());
  }
}

bool Keeper::may_write_image() {
  pid_t holder = 0;
  try {
    if (!image_claim_) image_claim_ = claim_image(folder_.fd(), folder_.name(), holder);
  } catch (const Error& error) {
    fail_checkpoint(error.what());
    return false;
  }
  if (image_claim_) return true;
  fail_checkpoint("image " + folder_.path() + " is that of another running program (keeper " +
                  std::to_string(holder) +
                  "): give each program its own UDPCR_IMAGE, or start those that belong together "
                  "with one `udpcr run`");
  return false;
}

void Keeper::step_gathering() {
  try {
    step();
  } catch (const Error& error) {
    fail_checkpoint(error.what());
  }
}

void Keeper::step() {
  switch (gathering_->step()) {
    case Gathering::State::waiting:
      return;
    case Gathering::State::failed:
      return fail_checkpoint(std::string(gathering_->failure()));
    case Gathering::State::complete:
      gathered_ = gathering_->take();
      gathering_.reset();
      return start_worker();
  }
}

bool Keeper::choose_settings() {
  checkpoint_settings_ = settings_;
  if (!restart_) return true;
  checkpoint_settings_.after = After::exit_;
  if (settings_.park == ParkMode::off) checkpoint_settings_.park = ParkMode::checkpoint;
  return std::any_of(clients_.begin(), clients_.end(), [](const Client& client) {
    return client.fd && client.served && client.restarts;
  });
}

// Of what has no name the next start could not tell which it is, unless it is
// given back at its fd.
void Keeper::park_gathered() {
  if (checkpoint_settings_.park == ParkMode::off) return;
  const bool by_name = settings_.fds == FdMode::adopt;
  for (const Gathered::Member& member : gathered_.members) {
    for (const SentFd& sent : member.fds) {
      std::uint64_t inode = 0;
      try {
        inode = inode_of(sent.fd.get());
        if (by_name && ((sent.entry.flags & wire::kFdUnseen) != 0 || !has_port(sent.fd.get()))) {
          continue;
        }
        UniqueFd copy(fcntl(sent.fd.get(), F_DUPFD_CLOEXEC, 0));
        if (!copy) throw Error("no fd is left (RLIMIT_NOFILE)", errno);
        if (parks_.add(sent.entry, member.pid, std::move(copy))) newly_parked_.push_back(inode);
      } catch (const Error& error) {
        log_.warn("not parked: fd " + std::to_string(sent.entry.fd) + ": " + error.what());
      }
      if (parks_.has(inode)) gathered_.parked.insert(inode);
    }
  }
  if (!gathered_.parked.empty()) page_->set_parking();
}

void Keeper::undo_parks() {
  for (const std::uint64_t inode : newly_parked_) parks_.drop(inode);
  newly_parked_.clear();
}

void Keeper::fail_checkpoint(const std::string& why) {
  gathering_.reset();
  undo_parks();
  // Not what has come for the next one.
  if (!page_->has_moved()) {
    told_.forget();
    for (Process& process : processes_) {
      process.sent.clear();
      process.sent_all = false;
      process.failure.clear();
    }
  }
  for (const ReadingState& state : reading_states_) {
    if (const int error = state.restore(); error != 0) {
      log_.error("options of a socket that its queue was read with could not be put back: " +
                 std::string(std::strerror(error)) + "; restart the program");
    }
  }
  reading_states_.clear();
  gathered_ = {};
  page_->release(wire::Verdict::resume);
  const std::string line = "checkpoint failed: " + why;
  log_.error(line);
  log_.borrow({});
  answer_clients({Outcome::failed, line + "\n"});
}

void Keeper::start_worker() {
  if (!choose_settings()) {
    return fail_checkpoint("who asked for a restart waits for it no longer; the program goes on");
  }
  park_gathered();
  for (const Gathered::Member& member : gathered_.members) {
    for (const SentFd& sent : member.fds) {
      show_life();
      reading_states_.emplace_back(sent.fd.get());
    }
  }
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return fail_checkpoint("socketpair: " + std::string(std::strerror(errno)));
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  try {
    watch_ = std::make_unique<Watch>();
  } catch (const Error& error) {
    return fail_checkpoint(error.what());
  }
  worker_ = fork();
  if (worker_ < 0) {
    worker_ = 0;
    return fail_checkpoint("the keeper cannot fork: " + std::string(std::strerror(errno)));
  }
  if (worker_ == 0) {
    ours.reset();
    held_.forget();
    parks_.forget_all();
    park_answers_.close();
    presence_.become_worker();
    for (Process& process : processes_) process.control.reset();
    _exit(int(run_worker(std::move(gathered_), identity_.value_or(Identity{}), checkpoint_settings_,
                         folder_, *page_, log_, told_, theirs.get(), *watch_)));
  }
  unread_reports_ = 0;
  told_.forget();
  worker_channel_ = std::move(ours);
}

void Keeper::end_worker() {
  // Reports that cannot be read for so long come no more.
  constexpr unsigned kMostUnread = 1000;
  Report report;
  Received received = Report::receive(worker_channel_.get(), report);
  if (received == Received::nothing) {
    if (++unread_reports_ < kMostUnread) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return;
    }
    received = Received::end;
    kill(worker_, SIGKILL);
  }
  if (received == Received::end) {
    worker_channel_.reset();
    return worker_has_ended(await_worker());
  }
  if (report.outcome == Outcome::failed) return end_in_failure(report);
  reading_states_.clear();
  gathered_ = {};
  if (report.outcome == Outcome::captured) {
    page_->release(wire::Verdict::resume);
    return;
  }
  newly_parked_.clear();
  // Tells the worker that we hold none of the sockets any more.
  worker_channel_.reset();
  if (checkpoint_settings_.after != After::stop) await_worker();
  log_.borrow({});
  answer_clients(report);
}

// The worker has said why in the log, has put the options back, and the program
// goes on: they are its own again.
void Keeper::end_in_failure(const Report& report) {
  reading_states_.clear();
  gathered_ = {};
  // A program that has ended has left them.
  if (living() != 0) undo_parks();
  newly_parked_.clear();
  worker_channel_.reset();
  await_worker();
  log_.borrow({});
  answer_clients(report);
}

// Before its report could be read: what it did is known by its exit status.
void Keeper::worker_has_ended(int status) {
  const bool made = WIFEXITED(status) && (WEXITSTATUS(status) == int(Outcome::kept) ||
                                          WEXITSTATUS(status) == int(Outcome::kept_in_part));
  if (!made) {
    return fail_checkpoint(
        (WIFSIGNALED(status)
             ? "the process that reads the sockets was ended by signal " +
                   std::to_string(WTERMSIG(status))
             : std::string("the report of the process that reads the sockets was lost")) +
        "; the sockets are as they were, no image was harmed");
  }
  reading_states_.clear();
  gathered_ = {};
  newly_parked_.clear();
  page_->release(wire::Verdict::resume);
  const std::string line =
      "image " + folder_.path() +
      ": it stands, but the report of what is in it was lost; see `udpcr show`";
  log_.warn(line);
  log_.borrow({});
  answer_clients({Outcome(WEXITSTATUS(status)), line + "\n"});
}

void Keeper::watch_worker() {
  const std::string why = watch_->judge(worker_);
  if (why.empty() || !watch_->overrule()) return;
  kill(worker_, SIGKILL);
  await_worker();
  worker_channel_.reset();
  fail_checkpoint(why + "; the sockets are as they were, and the program goes on");
}

// One that waits for a disk does so even if it is killed; it does nothing afterwards.
int Keeper::await_worker() {
  constexpr int kTurnMs = 10;
  constexpr int kTurns = 100;
  const UniqueFd process(int(syscall(SYS_pidfd_open, worker_, 0)));
  int status = 0;
  pid_t ended = 0;
  for (int turn = 0; turn < 2 * kTurns && ended == 0; ++turn) {
    if (turn == kTurns) kill(worker_, SIGKILL);
    pollfd end{process.get(), POLLIN, 0};
    poll_alive(&end, 1, kTurnMs);
    ended = waitpid(worker_, &status, WNOHANG);
  }
  worker_ = 0;
  return status;
}

void Keeper::answer_clients(const Report& report) {
  for (Client& client : clients_) {
    if (!client.served) continue;
    report.send(client.fd.get());
    client.fd.reset();
  }
  clients_.remove_if([](const Client& client) { return !client.fd; });
}

}  // namespace udpcr::keeper
