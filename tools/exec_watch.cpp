// SPDX-License-Identifier: LGPL-2.1-or-later
#include "exec_watch.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "keeper/process.hpp"

namespace udpcr {
namespace {

// The other end is closed by exec, by the end of its process, or behind a byte.
bool has_executed(int told, pid_t pid) {
  char still_here = 0;
  ssize_t size = -1;
  do size = read(told, &still_here, 1);
  while (size < 0 && errno == EINTR);
  return size == 0 && keeper::is_running(pid);
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

ExecWatch::~ExecWatch() {
  const char still_here = 1;
  if (write(tell_.get(), &still_here, 1) != 1) tell_.reset();
}

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
