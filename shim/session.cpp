// SPDX-License-Identifier: LGPL-2.1-or-later
#include "session.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdlib.h>

#include <atomic>

#include "adopt.h"
#include "channel.h"
#include "fd_table.h"
#include "fork.h"
#include "identity.h"
#include "inherit.h"
#include "keeper_service.h"
#include "keeper_start.h"
#include "listen.h"
#include "log.h"
#include "park_search.h"
#include "stored.h"
#include "sys.h"

namespace udpcr::session {

namespace {

// How long the restore of an image may take; see kCompletionPatienceMs of the
// keeper, which is part of it.
constexpr int kReadyPatienceMs = 30'000;
constexpr char kChannelVariable[] = "UDPCR_CHANNEL";

enum class Keeper { not_wanted, starting, runs, failed };

// nullptr: the shim does nothing.
constinit std::atomic<const Settings*> settings_in_force = nullptr;
constinit std::atomic<Keeper> keeper = Keeper::not_wanted;
// The tool beside us, as seen from the folder at start.
constinit char tool_path[PATH_MAX] = {};

// LIB/libudpcr_shim.so stands beside BIN/udpcr, as built and as installed.
void find_tool() {
  Dl_info self{};
  Text<PATH_MAX> path;
  if (dladdr(reinterpret_cast<const void*>(&find_tool), &self) != 0 && self.dli_fname != nullptr) {
    char folder[PATH_MAX];
    if (self.dli_fname[0] != '/' && syscall(SYS_getcwd, folder, sizeof folder) > 0) {
      path << folder << '/';
    }
    const char* const name = base_name(self.dli_fname);
    for (const char* letter = self.dli_fname; letter != name; ++letter) path << *letter;
    if (name == self.dli_fname) path << "./";
    path << "../bin/udpcr";
  }
  memcpy(tool_path, path.c_str(), path.size() + 1);
}

const char* tool() {
  const bool beside = tool_path[0] != '\0' &&
                      syscall(SYS_faccessat, AT_FDCWD, static_cast<char*>(tool_path), F_OK) == 0;
  return beside ? tool_path : UDPCR_BINDIR "/udpcr";
}

void say_why_not(const KeeperStartError& problem, const char* path) {
  Line line;
  line << "the keeper cannot start: " << problem.step << " (" << path
       << "): " << strerrordesc_np(problem.error_number) << "; the program runs on without; ";
  switch (problem.error_number) {
    case EAGAIN:
      line << "raise RLIMIT_NPROC (ulimit -u) or start the program with `udpcr run`";
      break;
    case EMFILE:
    case ENFILE:
      line << "raise RLIMIT_NOFILE (ulimit -n) or start the program with `udpcr run`";
      break;
    case ENOENT:
      line << "install udpcr, or start the program with `udpcr run`";
      break;
    default:
      line << "if its sandbox forbids it, start the program with `udpcr run` or with a keeper "
              "service (UDPCR_KEEPER)";
  }
  log_line(LogLevel::error, line);
}

void say_that_it_is_silent(int error, const char* image) {
  if (error == ESHUTDOWN) return;  // said for all that the keeper does
  Line line;
  line << "the keeper gives no answer (" << strerrordesc_np(error) << ", waited for up to "
       << kReadyPatienceMs / 1000 << " s): the program starts without the sockets of image "
       << image << "; the image stays, restart the program to have them";
  log_line(LogLevel::error, line);
}

// A keeper service has none of its own that would be the program's.
void make_socket(const wire::MakeMessage& wanted) {
  const long fd = syscall(SYS_socket, wanted.family, SOCK_DGRAM | SOCK_CLOEXEC, wanted.protocol);
  wire::MadeMessage made{{wire::Type::made, wire::kVersion}, fd < 0 ? errno : 0};
  const int socket = static_cast<int>(fd);
  const iovec piece{&made, sizeof made};
  channel::send(&piece, 1, &socket, fd < 0 ? 0 : 1);
  if (fd >= 0) sys::close(socket);
}

// The image is being restored: its sockets, or the table of them.  0, or why there is no
// answer.
int await_ready(const Settings& settings) {
  Patience patience(kReadyPatienceMs);
  static constinit struct {
    union {
      wire::ReadyMessage message;
      wire::MakeMessage wanted;
    };
    char names[wire::kMostNames];
  } packet = {};
  channel::Arrived arrived{};
  int table = -1;
  ssize_t size = 0;
  for (;;) {
    size = channel::receive(&packet, sizeof packet, &table, 1, arrived, patience);
    if (size < 0) return errno;
    if (packet.message.header.type != wire::Type::make ||
        static_cast<size_t>(size) != sizeof packet.wanted) {
      break;
    }
    make_socket(packet.wanted);
  }
  const wire::ReadyMessage& ready = packet.message;
  if (static_cast<size_t>(size) != sizeof ready + ready.names_size ||
      ready.header.type != wire::Type::ready) {
    if (arrived.fd_count > 0) sys::close(table);
    return EPROTO;
  }
  if (ready.abort != 0) {
    if (arrived.fd_count > 0) sys::close(table);
    // The keeper has said what it was that could not be restored.
    log_line(LogLevel::info,
             "the program is not started, for UDPCR_ON_ERROR=abort; set it to start to go on "
             "without what is not restored");
    sys::exit_group(125);
  }
  if (arrived.fd_count > 0) adopt::open_table(table, ready.entries);
  if (ready.inherited == 0) return 0;
  place_inherited(ready.inherited, patience);
  if (settings.fds == FdMode::listen) {
    listen::announce(ready.inherited, packet.names, ready.names_size);
  }
  return 0;
}

// `parked`: sockets may be.  0, or why the keeper does not answer.
int greet(const Settings& settings, bool parked) {
  const Standing image = image_standing(settings);
  // The keeper says what is wrong with an unsound one.  One that is to keep
  // sockets must be there when the first is bound.
  const bool waits = parked || settings.park != ParkMode::off || image == Standing::ours ||
                     image == Standing::unsound;
  int unsent = stored::send();
  if (unsent == 0) unsent = send_hello(settings, waits);
  if (unsent != 0) return unsent;
  return waits ? await_ready(settings) : 0;
}

// False: there is none, or none that can be had.
bool connect_to_service(const Settings& settings, KeeperConnection& connection) {
  if (settings.keeper[0] == '\0') return false;
  Line why;
  if (connect_keeper(settings, connection, why)) return true;
  Line line;
  line << "the keeper service at " << settings.keeper << " cannot be used: " << why.c_str()
       << "; the program has a keeper of its own";
  log_line(LogLevel::warn, line);
  return false;
}

// False: there is none, which has been said.
bool open_keeper(const Settings& settings) {
  KeeperConnection connection{};
  const char* path = settings.keeper;
  if (!connect_to_service(settings, connection)) {
    path = tool();
    const KeeperStartError problem = start_keeper(path, settings, environ, connection);
    if (problem.error_number != 0) {
      say_why_not(problem, path);
      return false;
    }
  }
  if (!channel::open(connection.channel, connection.page)) {
    say_why_not({ENOMEM, "its page cannot be mapped"}, path);
    return false;
  }
  return true;
}

// What a keeper that was killed at its work would have given stays where it was, with
// the ports that it has: a second one is to give it.
void start(const Settings& settings, bool parked) {
  constexpr int kAttempts = 2;
  for (int attempt = 1; open_keeper(settings); ++attempt) {
    const int error = greet(settings, parked);
    const bool has_ended = error == EPIPE || error == ECONNRESET;
    if (has_ended && attempt < kAttempts) {
      channel::close();
      continue;
    }
    if (error != 0) say_that_it_is_silent(error, settings.image);
    keeper.store(Keeper::runs, std::memory_order_release);
    return;
  }
  stored::close_all();
  keeper.store(Keeper::failed, std::memory_order_release);
}

// "CHANNEL,PAGE" of `udpcr run`; it is for this process alone.
bool take_given_channel() {
  const char* const value = getenv(kChannelVariable);
  if (value == nullptr) return false;
  int numbers[2] = {-1, -1};
  const char* letter = value;
  for (int& number : numbers) {
    if (*letter < '0' || *letter > '9') break;
    number = 0;
    while (*letter >= '0' && *letter <= '9' && number < FdTable::kMostFds) {
      number = number * 10 + (*letter++ - '0');
    }
    if (*letter == ',') ++letter;
  }
  const bool whole = *letter == '\0' && numbers[1] >= 0;
  struct stat status {};
  const bool is_channel = whole && sys::fstat(numbers[0], &status) == 0 && S_ISSOCK(status.st_mode);
  unsetenv(kChannelVariable);
  if (is_channel && channel::open(numbers[0], numbers[1])) return true;
  log_line(LogLevel::warn,
           "UDPCR_CHANNEL does not name the connection that `udpcr run` has made: it is left out; "
           "it is private, do not set it");
  return false;
}

// Sockets that were handed down never pass socket(2).
bool track_inherited_sockets() {
  struct Entry {  // struct linux_dirent64 of include/linux/dirent.h, Linux 6.1
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
  };
  const auto track = [](int fd) {
    uint64_t inode = 0;
    uint32_t flags = 0;
    if (stored::has(fd) || !examine_socket(fd, inode, flags)) return false;
    // Bound by whom is not known, nor whether others share it.
    return fd_table.track(fd, inode, flags | kFdShared);
  };
  bool found = false;
  const int folder = sys::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) {
    // No /proc: as far as anyone hands down sockets.
    for (int fd = 0; fd < 64; ++fd) found = track(fd) || found;
    return found;
  }
  alignas(Entry) char buffer[2048];
  for (long size = 0; (size = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0;) {
    for (long offset = 0; offset < size;) {
      const auto* const entry = reinterpret_cast<const Entry*>(buffer + offset);
      offset += entry->size;
      uint64_t fd = 0;
      if (!parse_number(entry->name, FdTable::kMostFds - 1, fd)) continue;
      if (static_cast<int>(fd) != folder) found = track(static_cast<int>(fd)) || found;
    }
  }
  sys::close(folder);
  return found;
}

}  // namespace

void begin(const Settings& settings, int argc, const char* const* argv) {
  find_tool();
  remember_identity(argc, argv);
  settings_in_force.store(&settings, std::memory_order_release);
  const bool stored = stored::take(settings) > 0;
  const bool has_sockets = track_inherited_sockets();
  const bool parked = stored || may_be_parked(settings);
  if (take_given_channel()) {
    keeper.store(Keeper::starting, std::memory_order_relaxed);
    const int error = greet(settings, parked);
    if (error != 0) say_that_it_is_silent(error, settings.image);
    keeper.store(Keeper::runs, std::memory_order_release);
    return;
  }
  const Standing image = image_standing(settings);
  if (image == Standing::others) {
    Line line;
    line << "image " << settings.image
         << " is left alone: another program wrote it, or this one with other arguments; "
            "UDPCR_MATCH=exe and any take it";
    log_line(LogLevel::info, line);
  }
  if (image == Standing::ours || has_sockets || parked) {
    keeper.store(Keeper::starting, std::memory_order_relaxed);
    start(settings, parked);
  }
}

void ensure_keeper() {
  notice_copy();
  const Keeper state = keeper.load(std::memory_order_acquire);
  if (state == Keeper::runs || state == Keeper::failed) return;
  const Settings* const settings = settings_in_force.load(std::memory_order_acquire);
  // Before our constructor, or in the child of vfork, whose fds are not ours.
  if (settings == nullptr || !is_own_process()) return;
  const KeepErrno keep;
  const BlockSignals blocked;
  Keeper expected = Keeper::not_wanted;
  if (keeper.compare_exchange_strong(expected, Keeper::starting, std::memory_order_acq_rel)) {
    start(*settings, false);
    return;
  }
  while (keeper.load(std::memory_order_acquire) == Keeper::starting) syscall(SYS_sched_yield);
}

void begin_child() {
  Keeper half_started = Keeper::starting;
  keeper.compare_exchange_strong(half_started,
                                 channel::is_open() ? Keeper::runs : Keeper::not_wanted);
}

bool has_failed() { return keeper.load(std::memory_order_acquire) == Keeper::failed; }

}  // namespace udpcr::session
