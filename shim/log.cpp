// SPDX-License-Identifier: LGPL-2.1-or-later
#include "log.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"
#include "text.h"

namespace udpcr {

namespace {

struct stat stderr_at_start;
bool stderr_known;

}  // namespace

void log_remember_stderr() { stderr_known = fstat(STDERR_FILENO, &stderr_at_start) == 0; }

bool log_stderr_is_same() {
  const KeepErrno keep;
  struct stat now;
  return stderr_known && fstat(STDERR_FILENO, &now) == 0 && now.st_dev == stderr_at_start.st_dev &&
         now.st_ino == stderr_at_start.st_ino;
}

void say(LogLevel level, const char* sentence) {
  if (level > shim.settings.log) return;
  const KeepErrno keep;
  int fd = shim.log_fd.load(std::memory_order_relaxed);
  if (fd < 0 && log_stderr_is_same()) fd = STDERR_FILENO;
  if (fd < 0) return;
  static constexpr const char* kNames[] = {"error", "warning", "info", "debug"};
  Text<1200> line;
  line << "udpcr: " << kNames[static_cast<unsigned>(level)] << ": " << sentence;
  Text<1202> whole;
  whole << line.c_str() << "\n";
  syscall(SYS_write, fd, whole.c_str(), whole.length());
}

}  // namespace udpcr
