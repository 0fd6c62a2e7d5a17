// SPDX-License-Identifier: LGPL-2.1-or-later
#include "exec_watch.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "process_file.hpp"

namespace udpcr {
namespace {

// Until exec gives the process the name of what it executes.
constexpr char kName[] = "udpcr: starting";
constexpr char kAboutTo = 1;
constexpr char kFailed = 2;

// The other end is closed by exec, or by the end of its process.
bool has_executed(int told, pid_t pid) {
  char last = 0;
  for (;;) {
    const ssize_t size = read(told, &last, 1);
    if (size == 0) break;
    if (size < 0 && errno != EINTR) return false;
  }
  // Gone without a trace: killed in the middle of exec, or its command has ended.
  return last == kAboutTo && name_of(pid) != kName;
}

void say(const UniqueFd& to, char what) {
  while (write(to.get(), &what, 1) < 0 && errno == EINTR) {
  }
}

}  // namespace

ExecWatch::ExecWatch(int lowest, const std::function<void()>& executed) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error("pipe: " + std::string(std::strerror(errno)), errno);
  const UniqueFd told(ends[0]);
  UniqueFd tell(ends[1]);
  const pid_t watched = getpid();
  const pid_t between = fork();
  if (between < 0) throw Error("fork: " + std::string(std::strerror(errno)), errno);
  if (between > 0) {
    int status = 0;
    while (waitpid(between, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) throw Error("fork fails; `ulimit -u` says how many processes may be", EAGAIN);
    tell_ = duplicate_above(tell.get(), lowest);
    return;
  }
  const pid_t watcher = fork();
  if (watcher != 0) _exit(watcher < 0 ? 1 : 0);
  tell.reset();
  if (has_executed(told.get(), watched)) executed();
  _exit(0);
}

void ExecWatch::about_to_execute() {
  prctl(PR_SET_NAME, kName);
  say(tell_, kAboutTo);
}

ExecWatch::~ExecWatch() { say(tell_, kFailed); }

UniqueFd duplicate_above(int fd, int lowest) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
  if (!copy) {
    throw Error(
        "no fd is free: " + std::string(std::strerror(errno)) + "; raise RLIMIT_NOFILE (ulimit -n)",
        errno);
  }
  return copy;
}

}  // namespace udpcr
