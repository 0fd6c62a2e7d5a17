// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper_service.h"

#include <sys/un.h>

#include "packet.h"
#include "start_message.h"
#include "sys.h"
#include "wire.h"

namespace udpcr {

namespace {

constexpr int kPauseMs = 5;

// A service that is there answers within milliseconds.  One that did not in time is
// not waited for again.
constinit bool is_silent = false;

// What a program waits for a service, which has no page of its own: in turns of
// `turn_ms`, each of which it has slept (wire::kPatienceSlices).
class Turns {
 public:
  explicit Turns(int turn_ms) : left_(wire::kPatienceSlices * wire::kSliceMs / turn_ms) {}
  // One has passed.  False with errno: it was the last.
  bool go_on() {
    if (--left_ > 0) return true;
    is_silent = true;
    errno = ETIMEDOUT;
    return false;
  }

 private:
  int left_;
};

// Its queue is full: a connect(2) that blocks would be asleep for as long as it is.
bool connect_patiently(int fd, const sockaddr_un& name, socklen_t size) {
  Turns turns(kPauseMs);
  for (;;) {
    if (syscall(SYS_connect, fd, &name, size) == 0) return true;
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return false;
    if (sys::poll(nullptr, 0, kPauseMs) == 0 && !turns.go_on()) return false;
  }
}

// -1 with errno.
int connect_to(const char* path) {
  if (is_silent) {
    errno = ETIMEDOUT;
    return -1;
  }
  Fd fd(static_cast<int>(
      syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
  if (fd.get() < 0) return -1;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  memcpy(static_cast<char*>(name.sun_path), path, strlen(path));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + strlen(path) + 1);
  if (!connect_patiently(fd.get(), name, size) || !fd.move_high()) return -1;
  return fd.release();
}

union Answer {
  wire::WireHeader header;
  wire::AcceptedMessage accepted;
  wire::FoundMessage found;
  wire::IdentifyMessage identify;
};

// A packet of one of the types that a service answers with.  False with errno.
bool receive(int channel, Answer& answer) {
  Turns turns(wire::kSliceMs);
  pollfd packet{channel, POLLIN, 0};
  for (int ready = 0; ready <= 0;) {
    ready = sys::poll(&packet, 1, wire::kSliceMs);
    if (ready < 0 && errno != EINTR) return false;
    if (ready == 0 && !turns.go_on()) return false;
  }
  packet::Arrived none{};
  return packet::receive(channel, &answer, sizeof answer, nullptr, 0, none) >= 0;
}

bool send(int channel, const void* message, size_t size) {
  const iovec piece{const_cast<void*>(message), size};
  return packet::send(channel, &piece, 1, nullptr, 0) == 0;
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
  // It may ask once who we are.
  constexpr int kMostAnswers = 4;
  for (int answers = 0; answers < kMostAnswers; ++answers) {
    Answer answer{};
    if (!receive(channel, answer)) {
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
  why << "it asks again and again who this is";
  return false;
}

}  // namespace

bool connect_keeper(const Settings& settings, KeeperConnection& connection, Line& why) {
  const KeepErrno keep;
  Fd page(make_page());
  if (page.get() < 0) {
    why << "no shared page (memfd_create): " << strerrordesc_np(errno);
    return false;
  }
  Fd channel(connect_to(settings.keeper));
  if (channel.get() < 0) {
    why << strerrordesc_np(errno)
        << (is_silent
                ? "; it is stopped or hangs, see its log, and restart it: udpcr keeper --listen "
                : "; start it: udpcr keeper --listen ")
        << settings.keeper;
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
  const Fd channel(connect_to(settings.keeper));
  if (channel.get() < 0) return false;
  const wire::ProbeMessage probe{{wire::Type::probe, wire::kVersion}, settings.match, mine};
  Answer answer{};
  return send(channel.get(), &probe, sizeof probe) && receive(channel.get(), answer) &&
         answer.header.type == wire::Type::found && answer.found.parked != 0;
}

}  // namespace udpcr
