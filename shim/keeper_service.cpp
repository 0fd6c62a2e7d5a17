// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper_service.h"

#include <sys/un.h>

#include "start_message.h"
#include "sys.h"
#include "wire.h"

namespace udpcr {

namespace {

// A service that is there answers within milliseconds; one that is stopped must
// not keep the program from starting for long.
constexpr int kPatienceMs = 3000;
constexpr int kProbePatienceMs = 1000;

// -1 with errno.
int connect_to(const char* path, int patience_ms) {
  Fd fd(static_cast<int>(syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)));
  if (fd.get() < 0) return -1;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  memcpy(static_cast<char*>(name.sun_path), path, strlen(path));
  // For connect(2): the service's queue may be full.
  const timeval patience{patience_ms / 1000, 0};
  sys::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  long result = 0;
  do {
    result =
        syscall(SYS_connect, fd.get(), &name, offsetof(sockaddr_un, sun_path) + strlen(path) + 1);
  } while (result < 0 && errno == EINTR);
  if (result < 0 || !fd.move_high()) return -1;
  return fd.release();
}

union Answer {
  wire::WireHeader header;
  wire::AcceptedMessage accepted;
  wire::FoundMessage found;
  wire::IdentifyMessage identify;
};

// A packet of one of the types that a service answers with.  False with errno.
bool receive(int channel, Answer& answer, int patience_ms) {
  pollfd packet{channel, POLLIN, 0};
  const int ready = sys::poll(&packet, 1, patience_ms);
  if (ready <= 0) {
    if (ready == 0) errno = ETIMEDOUT;
    return false;
  }
  const long size = syscall(SYS_recvfrom, channel, &answer, sizeof answer, MSG_DONTWAIT, 0, 0);
  if (size == 0) errno = ECONNRESET;
  if (size > 0 && (static_cast<size_t>(size) < sizeof answer.header ||
                   answer.header.version != wire::kVersion)) {
    errno = EPROTO;
    return false;
  }
  return size > 0;
}

bool send(int channel, const void* message, size_t size) {
  return syscall(SYS_sendto, channel, message, size, MSG_NOSIGNAL, 0, 0) >= 0;
}

// 0 or errno.
int send_start_with_files(int channel, int page, const Settings& settings) {
  char folder[PATH_MAX];
  const auto length = static_cast<size_t>(base_name(settings.image) - settings.image);
  memcpy(folder, settings.image, length);
  folder[length] = '\0';
  const Fd image(length == 0 ? -1 : sys::open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC));
  const Fd log(settings.log_file[0] == '\0'
                   ? -1
                   : sys::open(settings.log_file,
                               O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
                               S_IRUSR | S_IWUSR | S_IRGRP));
  int fds[3] = {page, -1, -1};
  size_t count = 1;
  uint32_t kinds = 0;
  if (image.get() >= 0) {
    kinds |= wire::kStartFolder;
    fds[count++] = image.get();
  }
  if (log.get() >= 0) {
    kinds |= wire::kStartLog;
    fds[count++] = log.get();
  }
  return send_start(channel, settings, kinds, fds, count);
}

bool is_accepted(int channel, Line& why) {
  for (;;) {
    Answer answer{};
    if (!receive(channel, answer, kPatienceMs)) {
      why << "no answer: " << strerrordesc_np(errno)
          << "; see its log, and install service and shim from the same release";
      return false;
    }
    if (answer.header.type == wire::Type::identify) {
      answer.identify.header.type = wire::Type::identified;
      send(channel, &answer.identify, sizeof answer.identify);
      continue;
    }
    if (answer.header.type == wire::Type::accepted && answer.accepted.refused == 0) return true;
    answer.accepted.why[wire::kLongestRefusal - 1] = '\0';
    why << (answer.header.type == wire::Type::accepted ? answer.accepted.why
                                                       : "it answers what was not asked");
    return false;
  }
}

}  // namespace

bool connect_keeper(const Settings& settings, KeeperConnection& connection, Line& why) {
  const KeepErrno keep;
  Fd page(make_page());
  if (page.get() < 0) {
    why << "no shared page (memfd_create): " << strerrordesc_np(errno);
    return false;
  }
  Fd channel(connect_to(settings.keeper, kPatienceMs));
  if (channel.get() < 0) {
    why << strerrordesc_np(errno) << "; start it: udpcr keeper --listen " << settings.keeper;
    return false;
  }
  const int unsent = send_start_with_files(channel.get(), page.get(), settings);
  if (unsent != 0) {
    why << "it does not take the start message: " << strerrordesc_np(unsent);
    return false;
  }
  if (!is_accepted(channel.get(), why)) return false;
  connection.channel = channel.release();
  connection.page = page.release();
  return true;
}

bool service_has_parked(const Settings& settings, const wire::ParkKey& mine) {
  const KeepErrno keep;
  const Fd channel(connect_to(settings.keeper, kProbePatienceMs));
  if (channel.get() < 0) return false;
  wire::ProbeMessage probe = {};
  probe.header = {wire::Type::probe, wire::kVersion};
  probe.probe.match = settings.match;
  probe.probe.mine = mine;
  Answer answer{};
  return send(channel.get(), &probe, sizeof probe) &&
         receive(channel.get(), answer, kProbePatienceMs) &&
         answer.header.type == wire::Type::found && answer.found.parked != 0;
}

}  // namespace udpcr
