// SPDX-License-Identifier: LGPL-2.1-or-later
#include "log.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace udpcr::keeper {

void Log::open_file(const char* path) {
  file_ = UniqueFd(open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
                        S_IRUSR | S_IWUSR | S_IRGRP));
  if (!file_) {
    warn("UDPCR_LOG_FILE=" + std::string(path) + " cannot be opened: " + std::strerror(errno) +
         "; lines go to stderr");
  }
}

void Log::settle() {
  struct stat status {};
  if (lasting_ >= 0 && fstat(lasting_, &status) == 0 && S_ISFIFO(status.st_mode)) {
    const UniqueFd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (null) dup2(null.get(), lasting_);
    lasting_ = -1;
  }
}

void Log::write(LogLevel level, const std::string& line) {
  if (level > level_) return;
  static constexpr const char* kNames[] = {"error", "warning", "info", "debug"};
  const int fd = file_ ? file_.get() : borrowed_ ? borrowed_.get() : lasting_;
  const std::string subject = fd == lasting_ && !subject_.empty() ? subject_ + ": " : "";
  const std::string text =
      "udpcr: " + std::string(kNames[static_cast<unsigned>(level)]) + ": " + subject + line + "\n";
  // A full pipe or a closed terminal is no reason to stop.
  if (fd >= 0 && ::write(fd, text.data(), text.size()) < 0) return;
}

}  // namespace udpcr::keeper
