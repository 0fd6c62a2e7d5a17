// SPDX-License-Identifier: LGPL-2.1-or-later
#include "join.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <udpcr/image_header.h>
#include <unistd.h>

#include "channel.h"
#include "fd_table.h"
#include "log.h"
#include "own_fds.h"
#include "real.h"
#include "shim.h"
#include "text.h"

namespace udpcr {

namespace {

constexpr int kReadyPatienceMs = 30'000;
constexpr int kOnErrorStatus = 125;
// Of the arguments, for messages; the hash covers all of them.
constexpr uint32_t kMostArgumentBytes = 64 * 1024;

char small_arguments[1024];

void copy_arguments(const char* const* argv, uint32_t size) {
  char* copy = small_arguments;
  if (size > sizeof small_arguments) {
    void* const made =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) return;
    copy = static_cast<char*>(made);
  }
  uint32_t at = 0;
  for (; *argv != nullptr; ++argv) {
    const auto length = static_cast<uint32_t>(text_length(*argv) + 1);
    if (at + length > size) break;
    memcpy(copy + at, *argv, length);
    at += length;
  }
  shim.arguments = copy;
  shim.arguments_size = at;
}

bool header_is_sound(const udpcr_image_header& header) {
  return memcmp(header.magic, UDPCR_IMAGE_MAGIC, sizeof header.magic) == 0 &&
         header.byte_order == UDPCR_IMAGE_BYTE_ORDER && header.version == UDPCR_IMAGE_VERSION;
}

bool header_is_ours(const udpcr_image_header& header) {
  if (shim.settings.match == Match::any) return true;
  if (header.exe_hash != shim.executable_hash) return false;
  return shim.settings.match == Match::exe || header.argv_hash == shim.arguments_hash;
}

void say_left_alone() {
  Text<PATH_MAX + 128> line;
  line << "image " << shim.settings.image
       << " is left alone: it was written by another program or with other arguments "
          "(UDPCR_MATCH=exe or any takes it all the same)";
  say(LogLevel::info, line.c_str());
}

void place_inherited(int fd, int number, bool cloexec) {
  own_fds::make_way(number);
  if (fd != number && real().fcntl(number, F_GETFD) >= 0) {
    Text<160> line;
    line << "not restored: fd " << number
         << " is in use at start; start the program without it, or use UDPCR_FDS=adopt";
    say(LogLevel::error, line.c_str());
    real().close(fd);
    return;
  }
  if (fd != number) {
    real().dup3(fd, number, cloexec ? O_CLOEXEC : 0);
    real().close(fd);
  } else {
    real().fcntl(fd, F_SETFD, cloexec ? FD_CLOEXEC : 0);
  }
  // Inherited fds of one socket may stand at several numbers.
  fd_table::track(number,
                  fd_table::kShared | fd_table::kAdopted | (cloexec ? wire::kFdCloexec : 0));
}

wire::InheritMessage inherit_message;

void receive_inherited(int channel, uint32_t count) {
  while (count > 0) {
    int fds[wire::kFdsPerPart];
    unsigned fd_count = 0;
    const long size =
        channel::receive(channel, wire::Type::inherit, &inherit_message, sizeof inherit_message,
                         fds, wire::kFdsPerPart, fd_count, kReadyPatienceMs);
    if (size != sizeof inherit_message || fd_count == 0 || fd_count != inherit_message.count) {
      say(LogLevel::error, "not restored: the keeper ended before it had handed all sockets over");
      return;
    }
    // First all away from the low numbers, so that none stands in another's place.
    for (unsigned i = 0; i < fd_count; ++i) fds[i] = own_fds::move_up(fds[i]);
    for (unsigned i = 0; i < fd_count; ++i) {
      place_inherited(fds[i], inherit_message.fds[i].fd, inherit_message.fds[i].cloexec != 0);
    }
    count -= fd_count < count ? fd_count : count;
  }
}

void map_table(int fd, uint32_t entries) {
  const size_t size = sizeof(wire::Table) + entries * sizeof(wire::TableEntry);
  void* const map = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  real().close(fd);
  if (map == MAP_FAILED) {
    say(LogLevel::error, "not restored: no memory for the table of restored sockets");
    return;
  }
  shim.table = static_cast<const wire::Table*>(map);
  shim.claimable.store(entries, std::memory_order_release);
}

void await_ready(int channel) {
  wire::ReadyMessage ready;
  int table = -1;
  unsigned fd_count = 0;
  const long size = channel::receive(channel, wire::Type::ready, &ready, sizeof ready, &table, 1,
                                     fd_count, kReadyPatienceMs);
  if (size != sizeof ready) {
    say(LogLevel::error,
        "not restored: the keeper did not bring the sockets back within 30 s; the program starts "
        "without them, the image stays");
    return;
  }
  if (ready.abort != 0) {
    syscall(SYS_exit_group, kOnErrorStatus);
  }
  if (fd_count == 1) map_table(table, ready.entries);
  receive_inherited(channel, ready.inherited);
}

void say_hello(int channel) {
  wire::HelloMessage hello{};
  hello.header = {wire::Type::hello, wire::kVersion};
  hello.executable_size = static_cast<uint32_t>(text_length(shim.executable) + 1);
  hello.arguments_size = shim.arguments_size;
  hello.arguments_cut = shim.arguments_cut ? 1 : 0;
  hello.executable_hash = shim.executable_hash;
  hello.arguments_hash = shim.arguments_hash;
  const int stderr_fd = STDERR_FILENO;
  hello.has_stderr = log_stderr_is_same() ? 1 : 0;
  const iovec parts[] = {{&hello, sizeof hello},
                         {shim.executable, hello.executable_size},
                         {const_cast<char*>(shim.arguments), hello.arguments_size}};
  channel::send(channel, parts, 3, &stderr_fd, hello.has_stderr);
}

}  // namespace

void note_identity(int argc, const char* const* argv) {
  const KeepErrno keep;
  const ssize_t length = readlink("/proc/self/exe", shim.executable, sizeof shim.executable - 1);
  shim.executable[length > 0 ? length : 0] = '\0';
  shim.executable_hash =
      udpcr_identity_hash(UDPCR_HASH_START, shim.executable, text_length(shim.executable));
  uint64_t hash = UDPCR_HASH_START;
  uint64_t size = 0;
  for (int i = 0; i < argc && argv[i] != nullptr; ++i) {
    const size_t bytes = text_length(argv[i]) + 1;
    hash = udpcr_identity_hash(hash, argv[i], bytes);
    size += bytes;
  }
  shim.arguments_hash = hash;
  shim.arguments_cut = size > kMostArgumentBytes;
  copy_arguments(argv, shim.arguments_cut ? kMostArgumentBytes : static_cast<uint32_t>(size));
}

bool image_stands() {
  const KeepErrno keep;
  const int fd = open(shim.settings.image, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  // What is there but cannot be opened, or is damaged, is for the keeper to name.
  if (fd < 0) return errno != ENOENT && errno != ENOTDIR;
  udpcr_image_header header;
  const ssize_t size = read(fd, &header, sizeof header);
  real().close(fd);
  if (size != sizeof header || !header_is_sound(header)) return true;
  if (header_is_ours(header)) return true;
  say_left_alone();
  return false;
}

void join_keeper(int channel, int page, bool stands) {
  void* const map = mmap(nullptr, wire::kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
  real().close(page);
  if (map == MAP_FAILED) {
    say(LogLevel::error, "no memory for the page shared with the keeper; there is no checkpoint");
    real().close(channel);
    return;
  }
  channel = own_fds::move_up(channel);
  say_hello(channel);
  shim.page.store(static_cast<wire::SharedPage*>(map));
  shim.channel.store(channel);
  if (stands) await_ready(channel);
}

void rejoin_after_fork() {
  const int parents = shim.channel.load();
  if (parents < 0) return;
  const KeepErrno keep;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return;
  wire::ForkedMessage forked{{wire::Type::forked, wire::kVersion}, getpid()};
  const iovec part{&forked, sizeof forked};
  const int error = channel::send(parents, &part, 1, &pair[1], 1);
  real().close(pair[1]);
  if (error != 0) {
    // The keeper has ended; the handler will find that out by the parent's.
    real().close(pair[0]);
    return;
  }
  // In the parent's place, so that the number is taken as it was.
  real().dup3(pair[0], parents, O_CLOEXEC);
  real().close(pair[0]);
}

}  // namespace udpcr
