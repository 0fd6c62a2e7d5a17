// SPDX-License-Identifier: LGPL-2.1-or-later
#include "shim.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "checkpoint.h"
#include "fd_table.h"
#include "join.h"
#include "keeper_start.h"
#include "log.h"
#include "own_fds.h"
#include "real.h"
#include "signals.h"
#include "text.h"

#ifndef UDPCR_BINDIR
#error "UDPCR_BINDIR is the folder that udpcr is installed in"
#endif

namespace udpcr {

constinit Shim shim{};

KeepErrno::KeepErrno() : saved_(errno) {}
KeepErrno::~KeepErrno() { errno = saved_; }

bool in_own_process() {
  return static_cast<pid_t>(syscall(SYS_getpid)) == shim.pid.load(std::memory_order_relaxed);
}

namespace {

constexpr char kChannelVariable[] = "UDPCR_CHANNEL";

// Beside the shim, as built and as installed next to it; else where this build
// installs.
void find_tool() {
  Dl_info info;
  Text<PATH_MAX> path;
  if (dladdr(reinterpret_cast<void*>(&find_tool), &info) != 0 && info.dli_fname != nullptr) {
    const char* const slash = strrchr(info.dli_fname, '/');
    if (slash != nullptr) {
      char folder[PATH_MAX] = {};
      const auto length = static_cast<size_t>(slash - info.dli_fname);
      if (length < sizeof folder) {
        memcpy(folder, info.dli_fname, length);
        path << folder << "/../bin/udpcr";
      }
    }
  }
  if (path.length() == 0 || access(path.c_str(), F_OK) != 0) {
    path = {};
    path << UDPCR_BINDIR << "/udpcr";
  }
  // The program may change its folder before the keeper starts.
  if (realpath(path.c_str(), shim.tool) == nullptr) {
    memcpy(shim.tool, path.c_str(), path.length() + 1);
  }
}

void complain(const char* sentence, void* /*context*/) { say(LogLevel::warn, sentence); }

void open_log() {
  if (shim.settings.log_file[0] == '\0') return;
  const int fd = open(shim.settings.log_file,
                      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
  if (fd >= 0) shim.log_fd.store(own_fds::move_up(fd));
}

void scan_one(int fd) {
  const auto option = [fd](int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
  };
  const int domain = option(SO_DOMAIN);
  if ((domain != AF_INET && domain != AF_INET6) || option(SO_TYPE) != SOCK_DGRAM) return;
  const int flags = real().fcntl(fd, F_GETFD);
  // May be one of several fds of the same socket.
  fd_table::track(
      fd, fd_table::kShared | (flags > 0 && (flags & FD_CLOEXEC) != 0 ? wire::kFdCloexec : 0));
}

// Sockets that the program was born with (socket activation, inetd) never pass
// through socket().  Entries of /proc/self/fd by raw getdents: opendir would
// allocate.
bool scan_inherited() {
  const int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return false;
  alignas(dirent64) char entries[4096];
  for (;;) {
    const long size = syscall(SYS_getdents64, folder, entries, sizeof entries);
    if (size <= 0) break;
    for (long at = 0; at < size;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(entries + at);
      at += entry->d_reclen;
      uint64_t fd = 0;
      if (text_number(entry->d_name, INT_MAX, fd) && static_cast<int>(fd) != folder) {
        scan_one(static_cast<int>(fd));
      }
    }
  }
  real().close(folder);
  return fd_table::end() > 0;
}

void start_and_join(bool stands) {
  if (shim.keeper_tried.exchange(true)) return;
  KeeperConnection connection;
  const KeeperStartError error =
      start_keeper(shim.tool, shim.settings, shim.environment, connection);
  if (error.error_number != 0) {
    Text<PATH_MAX + 256> line;
    line << "the keeper cannot start, there will be no checkpoint: " << error.step << " of "
         << shim.tool << ": " << strerrordesc_np(error.error_number) << "; "
         << keeper_start_remedy(error.error_number);
    say(LogLevel::error, line.c_str());
    return;
  }
  join_keeper(connection.channel, connection.page, stands);
}

// `udpcr run` has started the keeper and says so in a variable that is for
// this program alone.
bool join_given_keeper(const char* const* environment, bool stands) {
  const char* given = nullptr;
  for (; *environment != nullptr && given == nullptr; ++environment) {
    const char* const rest = text_after(*environment, kChannelVariable);
    if (rest != nullptr && *rest == '=') given = rest + 1;
  }
  if (given == nullptr) return false;
  char* comma = nullptr;
  const long channel = strtol(given, &comma, 10);
  const long page = *comma == ',' ? strtol(comma + 1, nullptr, 10) : -1;
  unsetenv(kChannelVariable);
  struct stat status;
  if (channel < 0 || page < 0 || fstat(static_cast<int>(channel), &status) != 0 ||
      !S_ISSOCK(status.st_mode)) {
    return false;
  }
  shim.keeper_tried.store(true);
  join_keeper(static_cast<int>(channel), static_cast<int>(page), stands);
  return true;
}

void in_child_of_fork() {
  shim.pid.store(static_cast<pid_t>(syscall(SYS_getpid)));
  forget_checkpoints();
  rejoin_after_fork();
}

// Runs before main; argc, argv and envp are the C library's gift to
// constructors (glibc, csu/libc-start.c and elf/dl-init.c).
__attribute__((constructor)) void start(int argc, char** argv, char** environment) {
  if (getauxval(AT_SECURE) != 0) return;
  const KeepErrno keep;
  real();
  shim.pid.store(getpid());
  shim.channel.store(-1);
  shim.log_fd.store(-1);
  shim.environment = environment;
  shim.settings.log = LogLevel::warn;
  log_remember_stderr();
  const char* executed = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  static Settings settings;
  read_settings(settings, environment, executed != nullptr ? executed : argv[0], complain, nullptr);
  shim.settings = settings;
  if (shim.settings.disabled) return;
  open_log();
  note_identity(argc, argv);
  find_tool();
  pthread_atfork(nullptr, nullptr, in_child_of_fork);
  take_signal();
  shim.active.store(true);
  const bool inherited = scan_inherited();
  const bool stands = image_stands();
  if (!join_given_keeper(environment, stands) && (stands || inherited)) start_and_join(stands);
}

}  // namespace

void ensure_keeper() {
  if (shim.keeper_tried.load(std::memory_order_relaxed)) return;
  const KeepErrno keep;
  start_and_join(false);
}

}  // namespace udpcr
