// SPDX-License-Identifier: LGPL-2.1-or-later
#include "log.h"

#include "own_fds.h"
#include "sys.h"

namespace udpcr {

namespace {

// A reader of stderr that does not keep up: how long a line waits for it.
constexpr int kPatienceMs = 100;

constinit LogLevel log_level = LogLevel::warn;
constinit bool had_stderr = false;
constinit dev_t stderr_device = 0;
constinit ino_t stderr_inode = 0;

// A write would raise SIGPIPE where nobody reads, and wait where the pipe is
// full.
bool takes_a_line(int fd) {
  pollfd state{fd, POLLOUT, 0};
  if (sys::poll(&state, 1, kPatienceMs) != 1) return false;
  return (state.revents & (POLLERR | POLLNVAL)) == 0 && (state.revents & POLLOUT) != 0;
}

}  // namespace

void remember_stderr() {
  struct stat status {};
  had_stderr = sys::fstat(STDERR_FILENO, &status) == 0;
  stderr_device = status.st_dev;
  stderr_inode = status.st_ino;
}

bool stderr_is_the_same() {
  struct stat status {};
  return had_stderr && sys::fstat(STDERR_FILENO, &status) == 0 && status.st_dev == stderr_device &&
         status.st_ino == stderr_inode;
}

void set_log_level(LogLevel level) { log_level = level; }

bool is_logged(LogLevel level) { return level <= log_level; }

void open_log_file(const char* path) {
  const int fd = sys::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
                           S_IRUSR | S_IWUSR | S_IRGRP);
  if (fd < 0) {
    Line line;
    line << "UDPCR_LOG_FILE=" << path << " cannot be opened: " << strerrordesc_np(errno)
         << "; lines go to stderr";
    log_line(LogLevel::warn, line);
    return;
  }
  own_fds::take(own_fds::Use::log, fd);
}

void log_line(LogLevel level, const char* sentence) {
  if (!is_logged(level)) return;
  const KeepErrno keep;
  static constexpr const char* kNames[] = {"error", "warning", "info", "debug"};
  Text<1024> text;
  text << "udpcr: " << kNames[static_cast<size_t>(level)] << ": " << sentence << '\n';
  int fd = own_fds::get(own_fds::Use::log);
  if (fd < 0) {
    if (!stderr_is_the_same() || !takes_a_line(STDERR_FILENO)) return;
    fd = STDERR_FILENO;
  }
  // Nobody is left to tell when this fails.
  if (sys::write(fd, text.c_str(), text.size()) < 0) return;
}

}  // namespace udpcr
