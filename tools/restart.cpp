// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "commands.hpp"
#include "expected_sockets.hpp"
#include "image_report.hpp"
#include "keeper/folder.hpp"
#include "keeper_request.hpp"
#include "parked_by_inode.hpp"
#include "persist.hpp"
#include "process_file.hpp"
#include "program_file.hpp"
#include "program_start.hpp"
#include "running_program.hpp"
#include "socket_owners.hpp"

namespace udpcr {
namespace {

constexpr int kDefaultTimeoutSeconds = 30;
constexpr int kInPart = 3;
// A process that has been killed is gone by then.
constexpr int kEndPatienceMs = 2000;
// How often is looked whether the new program has its sockets.
constexpr int kFirstPollMs = 10;
constexpr int kLastPollMs = 200;
constexpr int kSettleMs = 100;

constexpr char kUsage[] =
    "usage: udpcr restart [--timeout SECONDS] PID\n"
    "       udpcr restart [--timeout SECONDS] -- COMMAND [ARGUMENT...]\n"
    "\n"
    "Checkpoints a program that runs under udpcr, ends it and starts it again, in the\n"
    "background.  Its UDP sockets stay open meanwhile (they are parked, whatever\n"
    "UDPCR_PARK says): nothing that is sent to them is lost.  The new run has the\n"
    "command line, environment, folder, standard fds, user, umask and limits of the\n"
    "old one, in a session of its own.\n"
    "\n"
    "With --, a program of this user that runs under udpcr with the executable and\n"
    "arguments of COMMAND is checkpointed and ended, and COMMAND then runs in the place\n"
    "of the tool, as with `udpcr run`; if there is none COMMAND is just started.\n"
    "\n"
    "  --timeout SECONDS   how long to wait for the checkpoint, and then for the new\n"
    "                      program to take its sockets; default 30; 0: without limit\n"
    "\n"
    "Exit status: 0 everything is carried over; 3 the program runs again, but\n"
    "something is not, each named on a line of its own; 1 it does not run again, or\n"
    "goes on as before; 2 usage.  With --: 125 udpcr failed, else as `udpcr run`.\n";

int fail(int status, const std::string& why) {
  std::fprintf(stderr, "udpcr: error: %s\n", why.c_str());
  return status;
}

// What an ended program has left for its next start.
struct Handover {
  std::string path;  // of the image
  Image image;
  std::vector<ExpectedSocket> expected;
};

std::vector<keeper::ParkedSocket> parked_for(const std::string& path) {
  std::vector<keeper::ParkedSocket> all = parked_here();
  const std::uint64_t image = udpcr_identity_hash(UDPCR_HASH_START, path.data(), path.size());
  std::erase_if(all, [image](const auto& park) { return park.key.image != image; });
  return all;
}

// Where the next try finds them.
std::string what_stays(const Handover& handover) {
  std::uint32_t seconds = 0;
  for (const keeper::ParkedSocket& park : parked_for(handover.path)) {
    seconds = std::max(seconds, park.seconds);
  }
  if (access(handover.path.c_str(), F_OK) != 0 && seconds == 0) {
    return "its sockets are gone with it, and image " + handover.path +
           ".restored has what was queued at the checkpoint";
  }
  std::string text = "its sockets are in image " + handover.path;
  if (seconds != 0) text += " and parked for " + std::to_string(seconds) + " s from its end";
  return text + ": start it again with UDPCR_IMAGE=" + handover.path;
}

// Throws Error when it goes on as before.
Handover end_program(const RunningProgram& program, int timeout_seconds) {
  const keeper::Report report = ask_keeper(program.pid, wire::Order::restart, timeout_seconds);
  if (report.outcome == keeper::Outcome::failed) {
    throw Error("process " + std::to_string(program.pid) +
                " goes on as before: " + report.text.substr(0, report.text.find('\n')));
  }
  pollfd exit{program.pidfd.get(), POLLIN, 0};
  if (persist([&] { return poll(&exit, 1, kEndPatienceMs); }) != 1) {
    throw Error("process " + std::to_string(program.pid) + " does not end; end it (kill -KILL " +
                std::to_string(program.pid) +
                "), then start it again: " + report.text.substr(0, report.text.find('\n')));
  }
  Handover handover;
  handover.path = report.path;
  try {
    const keeper::ImageFolder folder(handover.path);
    handover.image = load_image(folder.fd(), folder.name(), folder.path(), {program.keeper_uid});
  } catch (const Error& error) {
    // The new run says what it can do without.
    std::fprintf(stderr, "udpcr: warning: %s\n", error.what());
  }
  handover.expected = expected_sockets(handover.image, parked_for(handover.path));
  return handover;
}

// UDPCR_IMAGE that stands for this very path.
std::string as_setting(const std::string& path) {
  std::string text;
  for (const char letter : path) text += letter == '%' ? "%%" : std::string(1, letter);
  return text;
}

std::vector<char*> pointers(std::vector<std::string>& arguments) {
  std::vector<char*> all;
  for (std::string& argument : arguments) all.push_back(argument.data());
  all.push_back(nullptr);
  return all;
}

struct Started {
  pid_t pid;
  std::string problem;  // empty: it has been executed
};

Started start_again(RunningProgram& program, const Handover& handover) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {0, "pipe: " + std::string(std::strerror(errno))};
  const UniqueFd told(ends[0]);
  UniqueFd tell(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return {0, "fork: " + std::string(std::strerror(errno))};
  if (pid == 0) {
    std::string problem;
    try {
      assume(program);
      setenv("UDPCR_IMAGE", as_setting(handover.path).c_str(), 1);
      problem = start_program(program.file, pointers(program.arguments)).why;
    } catch (const Error& error) {
      problem = error.what();
    }
    const ssize_t written = write(tell.get(), problem.data(), problem.size());
    _exit(written < 0 ? 1 : kFailed);
  }
  tell.reset();
  std::string problem;
  char piece[512];
  for (ssize_t size = 1; size > 0;) {
    size = read(told.get(), piece, sizeof piece);
    if (size > 0) problem.append(piece, std::size_t(size));
    if (size < 0 && errno == EINTR) size = 1;
  }
  return {pid, problem};
}

class Adoption {
 public:
  Adoption(pid_t pid, std::vector<ExpectedSocket>& expected) : pid_(pid), expected_(expected) {}

  // Until every socket has been taken, or the program has failed.
  void wait(int timeout_seconds) {
    const auto start = std::chrono::steady_clock::now();
    for (int pause_ms = kFirstPollMs;; pause_ms = std::min(2 * pause_ms, kLastPollMs)) {
      look();
      if (all_taken()) {
        // It may end at once all the same, or leave them to a child.
        poll(nullptr, 0, kSettleMs);
        look();
      }
      if (has_failed() || all_taken()) return;
      const auto waited = std::chrono::steady_clock::now() - start;
      if (timeout_seconds != 0 && waited >= std::chrono::seconds(timeout_seconds)) return;
      poll(nullptr, 0, pause_ms);
    }
  }

  // "status 1", "signal 9"
  [[nodiscard]] std::string end() const {
    return WIFSIGNALED(status_) ? "signal " + std::to_string(WTERMSIG(status_))
                                : "status " + std::to_string(WEXITSTATUS(status_));
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool seen_all() const { return seen_all_; }

 private:
  // A program that becomes a daemon ends with status 0: what is taken counts,
  // whoever has it.
  bool has_failed() {
    if (ended_ || waitpid(pid_, &status_, WNOHANG) != pid_) return failed_;
    ended_ = true;
    failed_ = !WIFEXITED(status_) || WEXITSTATUS(status_) != 0;
    return failed_;
  }
  void look() {
    for (ExpectedSocket& one : expected_) one.pid = 0;
    const SocketOwners owners;
    seen_all_ = owners.complete();
    find_expected(expected_, list_sockets().sockets, [&](std::uint64_t inode) {
      std::vector<pid_t> pids;
      for (const SocketOwner& owner : owners.of(inode)) {
        if (name_of(owner.pid) != "udpcr-keeper") pids.push_back(owner.pid);
      }
      return pids;
    });
  }
  [[nodiscard]] bool all_taken() const {
    return std::all_of(expected_.begin(), expected_.end(),
                       [](const ExpectedSocket& one) { return one.pid != 0; });
  }

  pid_t pid_;
  std::vector<ExpectedSocket>& expected_;
  int status_ = 0;
  bool ended_ = false;
  bool failed_ = false;
  bool seen_all_ = true;
};

int tell(const RunningProgram& program, pid_t pid, const Handover& handover,
         const Adoption& adoption, int timeout_seconds) {
  const auto taken = std::find_if(handover.expected.begin(), handover.expected.end(),
                                  [](const ExpectedSocket& one) { return one.pid != 0; });
  // A daemon is another process than the one that was started.
  const bool lives = !status_numbers(pid, "PPid").empty();
  const pid_t shown = lives || taken == handover.expected.end() ? pid : taken->pid;
  std::printf("restarted: %d -> %d: %s carried over\n", program.pid, shown,
              carried_over(handover.expected).c_str());
  bool whole = true;
  for (const ExpectedSocket& one : handover.expected) {
    if (one.pid != 0) continue;
    whole = false;
    std::printf(
        "not carried over: %s: no process has it after %d s%s\n", one.describe().c_str(),
        timeout_seconds,
        adoption.seen_all() ? "" : ", as far as this user may look at them (root may at all)");
  }
  for (const std::string& line : loss_lines(handover.image)) {
    whole = false;
    std::printf("%s\n", line.c_str());
  }
  for (const std::string& what : program.not_kept) {
    whole = false;
    std::printf("not carried over: %s\n", what.c_str());
  }
  return whole ? 0 : kInPart;
}

int restart(pid_t pid, int timeout_seconds) {
  RunningProgram program = look_at_program(pid);
  Handover handover = end_program(program, timeout_seconds);
  // What it was executed with, whatever it has written over that since.
  if (!handover.image.arguments.empty() && !handover.image.full_arguments_hash) {
    program.arguments = handover.image.arguments;
  }
  const Started started = start_again(program, handover);
  if (!started.problem.empty()) {
    return fail(1, "process " + std::to_string(program.pid) + " has ended, but " + program.file +
                       " cannot be started again: " + started.problem + "; " +
                       what_stays(handover));
  }
  Adoption adoption(started.pid, handover.expected);
  adoption.wait(timeout_seconds);
  if (adoption.failed()) {
    return fail(1, "process " + std::to_string(program.pid) + " has ended, but the new " +
                       program.file + " (process " + std::to_string(started.pid) +
                       ") has ended with " + adoption.end() + ", see its stderr; " +
                       what_stays(handover));
  }
  return tell(program, started.pid, handover, adoption, timeout_seconds);
}

int restart_command(const std::vector<char*>& command, int timeout_seconds) {
  const std::string file = find_program(command[0]);
  if (file.empty()) return start_failed(kNotFound, std::string(command[0]) + ": not found");
  const std::vector<std::string> arguments(command.begin() + 1, command.end() - 1);
  const char* const image = std::getenv("UDPCR_IMAGE");
  const std::vector<pid_t> running = find_running(
      file, arguments, image != nullptr ? std::optional<std::string>(image) : std::nullopt);
  if (running.size() > 1) {
    std::string all;
    for (const pid_t pid : running) all += " " + std::to_string(pid);
    return start_failed(kFailed, std::string(command[0]) + " runs " +
                                     std::to_string(running.size()) +
                                     " times with these arguments, as processes" + all +
                                     ": say which, with `udpcr restart PID`, or with UDPCR_IMAGE");
  }
  std::string stays;
  if (!running.empty()) {
    const RunningProgram program = look_at_program(running.front());
    const Handover handover = end_program(program, timeout_seconds);
    std::fprintf(stderr, "udpcr: process %d has ended; the next start takes what was in image %s\n",
                 program.pid, handover.path.c_str());
    for (const std::string& line : loss_lines(handover.image)) {
      std::fprintf(stderr, "udpcr: %s\n", line.c_str());
    }
    setenv("UDPCR_IMAGE", as_setting(handover.path).c_str(), 1);
    stays = "; " + what_stays(handover);
  }
  const StartFailure failure = start_program(file, command);
  return start_failed(failure.status, failure.why + stays);
}

bool parse_number(const char* text, int& number) {
  const char* const end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  return error == std::errc{} && stop == end && number >= 0;
}

}  // namespace

int restart_main(int argc, char** argv) {
  int timeout_seconds = kDefaultTimeoutSeconds;
  int pid = 0;
  std::vector<char*> command;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (argument == "--") {
      command.assign(argv + i + 1, argv + argc);
      break;
    }
    bool good = false;
    if (argument == "--timeout") {
      good = i + 1 < argc && parse_number(argv[++i], timeout_seconds);
    } else {
      good = pid == 0 && parse_number(argv[i], pid) && pid != 0;
    }
    if (!good) {
      const std::string what = argument == "--timeout" ? "--timeout has no number of seconds"
                               : argument[0] == '-'    ? "there is no option " + argument
                                                       : "\"" + argument + "\" is not a process id";
      std::fprintf(stderr, "udpcr: error: %s\n\n%s", what.c_str(), kUsage);
      return 2;
    }
  }
  if ((pid != 0) == !command.empty()) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  try {
    if (pid != 0) return restart(pid, timeout_seconds);
    command.push_back(nullptr);
    return restart_command(command, timeout_seconds);
  } catch (const Error& error) {
    return fail(pid != 0 ? 1 : kFailed, error.what());
  }
}

}  // namespace udpcr
