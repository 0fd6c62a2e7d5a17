// SPDX-License-Identifier: LGPL-2.1-or-later
#include "identity.h"

#include <udpcr/image_header.h>

#include "channel.h"
#include "fd_table.h"
#include "listen.h"
#include "log.h"
#include "settings.h"
#include "sys.h"

namespace udpcr {

namespace {

constexpr uint32_t kMostArguments = 64 * 1024;  // wire.h, HelloMessage

constinit char executable[PATH_MAX] = {};
constinit uint32_t executable_size = 0;  // NUL included
constinit char arguments[kMostArguments] = {};
constinit uint32_t arguments_size = 0;
constinit bool arguments_cut = false;
constinit uint64_t executable_hash = 0;
constinit uint64_t arguments_hash = 0;

}  // namespace

void remember_identity(int argc, const char* const* argv) {
  const long length = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe",
                              static_cast<char*>(executable), sizeof executable - 1);
  if (length < 0) {
    // No /proc.
    const char* const name = argc > 0 ? argv[0] : "";
    strncpy(executable, name, sizeof executable - 1);
  }
  const size_t path_length = strlen(executable);
  executable_size = static_cast<uint32_t>(path_length + 1);
  executable_hash = udpcr_identity_hash(UDPCR_HASH_START, executable, path_length);
  arguments_hash = UDPCR_HASH_START;
  for (int i = 0; i < argc; ++i) {
    const auto size = static_cast<uint32_t>(strlen(argv[i]) + 1);
    arguments_hash = udpcr_identity_hash(arguments_hash, argv[i], size);
    if (arguments_cut || size > kMostArguments - arguments_size) {
      arguments_cut = true;
      continue;
    }
    memcpy(arguments + arguments_size, argv[i], size);
    arguments_size += size;
  }
}

wire::ParkKey own_park_key(const Settings& settings) {
  wire::ParkKey key;
  key.image = udpcr_identity_hash(UDPCR_HASH_START, settings.image, strlen(settings.image));
  key.executable = executable_hash;
  key.arguments = arguments_hash;
  return key;
}

int send_hello(const Settings& settings, bool waits) {
  const bool has_stderr = stderr_is_the_same();
  const listen::Activation activation = listen::activation();
  // 65536 calls where nothing is open, so only where somebody asks.
  const uint32_t room = settings.fds == FdMode::listen ? listen::room_behind(activation.count) : 0;
  wire::HelloMessage hello{{wire::Type::hello, wire::kVersion},
                           has_stderr ? 1U : 0U,
                           executable_size,
                           arguments_size,
                           arguments_cut ? 1U : 0U,
                           executable_hash,
                           arguments_hash,
                           activation.names_size,
                           activation.count,
                           room,
                           0,
                           waits ? 1U : 0U,
                           {}};
  fd_table.each([&](int fd, FdSlot&) {
    wire::LiveFd& live = hello.live[hello.live_count++];
    live.fd = fd;
    socklen_t size = sizeof live.cookie;
    sys::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &live.cookie, &size);
    return hello.live_count < wire::kMostLive;
  });
  const iovec pieces[] = {{&hello, sizeof hello},
                          {executable, executable_size},
                          {arguments, arguments_size},
                          {const_cast<char*>(activation.names), activation.names_size}};
  const int fd = STDERR_FILENO;
  return channel::send(pieces, 4, &fd, has_stderr ? 1 : 0);
}

Standing image_standing(const Settings& settings) {
  if (settings.image[0] == '\0') return Standing::none;
  // A FIFO must not make us wait; what it is, the keeper says.
  const int file =
      sys::open(settings.image, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return errno == ENOENT || errno == ENOTDIR ? Standing::none : Standing::unsound;
  udpcr_image_header header{};
  const ssize_t size = sys::read(file, &header, sizeof header);
  sys::close(file);
  if (size != sizeof header || memcmp(header.magic, UDPCR_IMAGE_MAGIC, sizeof header.magic) != 0 ||
      header.byte_order != UDPCR_IMAGE_BYTE_ORDER) {
    return Standing::unsound;
  }
  if (settings.match == Match::any) return Standing::ours;
  if (header.exe_hash != executable_hash) return Standing::others;
  if (settings.match == Match::argv && header.argv_hash != arguments_hash) return Standing::others;
  return Standing::ours;
}

}  // namespace udpcr
