// SPDX-License-Identifier: LGPL-2.1-or-later
#include "watch.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "alive.hpp"
#include "text_file.hpp"

namespace udpcr::keeper {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// More than a turn of the keeper's loop takes is time in which it did not run.
constexpr auto kLongestTurn = 200ms;
constexpr auto kStoppedPatience = 1s;
// Slices without a turn of the keeper's loop: fewer when the kernel says that it is
// stopped, so that it is gone before the program gives it up.
constexpr int kStoppedSlices = 3;
constexpr int kHangingSlices = wire::kPatienceSlices;

enum class Decision : std::uint32_t { open, made, overruled };

// By the letter of proc(5); false as well where that cannot be read.
bool is_stopped(pid_t pid) {
  const std::string line = read_text_or_nothing("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= line.size()) return false;
  return line[name_end + 2] == 'T' || line[name_end + 2] == 't';
}

}  // namespace

struct Watch::Shared {
  std::uint32_t turns;  // of the keeper's loop
  std::atomic<Phase> phase;
  std::atomic<Decision> decision;
};

Watch::Watch() : looked_at_(Clock::now()) {
  void* const map =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) throw Error("no memory for a checkpoint", errno);
  shared_ = static_cast<Shared*>(map);
  show_life_to(Viewer::worker, &shared_->turns);
  keeper_pid_ = getpid();
  keeper_ = UniqueFd(int(syscall(SYS_pidfd_open, keeper_pid_, 0)));
}

Watch::~Watch() {
  show_life_to(Viewer::worker, nullptr);
  munmap(shared_, sizeof(Shared));
}

void Watch::guard(Page& page, Log& log) {
  // Signals are the business of the thread that works.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([this, &page, &log] { live_as_guard(page, log); }).detach();
  } catch (const std::system_error& error) {
    log.debug("nobody watches the keeper: " + std::string(error.what()));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Watch::live_as_guard(Page& page, Log& log) {
  const auto turns = [this] { return std::atomic_ref(shared_->turns).load(); };
  std::uint32_t seen = turns();
  int still = 0;
  for (pollfd end{keeper_.get(), POLLIN, 0};;) {
    if (poll(&end, 1, wire::kSliceMs) > 0 || getppid() != keeper_pid_) break;
    if (shared_->phase == Phase::done) return;
    const std::uint32_t now = turns();
    still = now == seen ? still + 1 : 0;
    seen = now;
    if (still < kStoppedSlices || (still < kHangingSlices && !is_stopped(keeper_pid_))) continue;
    if (keeper_) syscall(SYS_pidfd_send_signal, keeper_.get(), SIGKILL, nullptr, 0);
    log.warn("the keeper (process " + std::to_string(keeper_pid_) +
             ") did not run while a checkpoint was made, and was ended; the checkpoint goes on; "
             "restart the program to have a keeper again");
    break;
  }
  for (auto left = kPhaseBound / std::chrono::milliseconds(wire::kSliceMs);; --left) {
    const Phase phase = shared_->phase;
    if (phase >= Phase::decided) return;
    page.show_life();
    if (phase == Phase::writing_freely) page.release(wire::Verdict::resume);
    if (left <= 0 && overrule()) {
      page.release(wire::Verdict::resume);
      log.error("checkpoint failed: it took longer than " + std::to_string(kPhaseBound / 1s) +
                " s without a keeper; the program goes on, restart it to have a keeper again");
      std::_Exit(1);
    }
    poll(nullptr, 0, wire::kSliceMs);
  }
}

void Watch::enter(Phase phase) noexcept { shared_->phase = phase; }

bool Watch::decide() noexcept {
  Decision expected = Decision::open;
  if (!shared_->decision.compare_exchange_strong(expected, Decision::made)) return false;
  enter(Phase::decided);
  return true;
}

bool Watch::overrule() noexcept {
  Decision expected = Decision::open;
  return shared_->decision.compare_exchange_strong(expected, Decision::overruled);
}

std::string Watch::judge(pid_t worker) {
  const Clock::time_point now = Clock::now();
  const Clock::duration ran = std::min<Clock::duration>(now - looked_at_, kLongestTurn);
  looked_at_ = now;
  const Phase phase = shared_->phase;
  in_phase_ = phase == phase_ ? in_phase_ + ran : 0s;
  phase_ = phase;
  siginfo_t stop{};
  const bool stopped = waitid(P_PID, id_t(worker), &stop, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
                       stop.si_pid == worker;
  stopped_ = stopped ? stopped_ + ran : 0s;
  if (stopped_ >= kStoppedPatience) {
    // It has what nobody else has.
    if (phase >= Phase::decided) {
      kill(worker, SIGCONT);
      return {};
    }
    return "process " + std::to_string(worker) +
           ", which makes the image, is stopped, and was ended; do not stop it, and try again";
  }
  if (phase >= Phase::decided || in_phase_ < kPhaseBound) return {};
  return std::string(phase == Phase::reading ? "reading the sockets" : "writing the image") +
         " took longer than " + std::to_string(kPhaseBound / 1s) +
         (phase == Phase::reading ? " s; try again when the machine has less to do"
                                  : " s; let UDPCR_IMAGE name a place on a faster disk");
}

}  // namespace udpcr::keeper
