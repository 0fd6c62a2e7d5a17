// SPDX-License-Identifier: LGPL-2.1-or-later
#include "channel.h"

#include <atomic>

#include "log.h"
#include "own_fds.h"
#include "packet.h"
#include "sys.h"

namespace udpcr::channel {

namespace {

// For one answer.  The keeper may be at work on another process's checkpoint.
constexpr int kAnswerPatienceMs = 30'000;
// For the question of a keeper that is asked to take a child in.
constexpr int kJoinPatienceMs = 1000;
// Waits for room, for the receiver's RLIMIT_NOFILE (unix(7), ETOOMANYREFS).
constexpr int kRetryMs = 20;
constexpr int kRetries = 500;
constexpr int kRetryPatienceMs = kRetryMs * kRetries;

constinit std::atomic<wire::SharedPage*> shared_page = nullptr;

uint32_t epoch_now() { return __atomic_load_n(&page()->epoch, __ATOMIC_SEQ_CST); }

bool may_retry(int error) {
  return error == EAGAIN || error == EINTR || error == ETOOMANYREFS || error == ENOBUFS ||
         error == ENOMEM;
}

// The turns of a sender that finds no room.
class Retries {
 public:
  // False: no more of them.
  bool wait(int error) {
    if (error == EINTR) return true;
    if (error == EAGAIN) {
      pollfd room{fd(), POLLOUT, 0};
      return sys::poll(&room, 1, wire::kSliceMs) != 0 || patience_.go_on();
    }
    // Room is not what the others lack: for those it is a pause.
    if (sys::poll(nullptr, 0, kRetryMs) != 0) return true;
    return ++pauses_ % (wire::kSliceMs / kRetryMs) != 0 || patience_.go_on();
  }
  [[nodiscard]] bool has_given_up() const { return patience_.has_given_up(); }

 private:
  Patience patience_{kRetryPatienceMs};
  int pauses_ = 0;
};

// `progress` that a knock is to change; it is not repeated before that.
constinit std::atomic<uint64_t> knocked_at = ~uint64_t{0};

}  // namespace

bool open(int channel_fd, int page_fd) {
  const KeepErrno keep;
  void* const map = mmap(nullptr, wire::kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
  struct stat status {};
  const bool whole =
      map != MAP_FAILED && sys::fstat(page_fd, &status) == 0 && status.st_size == wire::kPageSize &&
      wire::soundness_of(static_cast<wire::SharedPage*>(map)->header, wire::kPageSize) ==
          wire::Soundness::sound;
  sys::close(page_fd);
  if (!whole) {
    if (map != MAP_FAILED) munmap(map, wire::kPageSize);
    sys::close(channel_fd);
    return false;
  }
  own_fds::take(own_fds::Use::channel, channel_fd);
  shared_page.store(static_cast<wire::SharedPage*>(map), std::memory_order_release);
  return true;
}

int fd() { return own_fds::get(own_fds::Use::channel); }

void close() { own_fds::drop(own_fds::Use::channel); }

bool is_open() { return fd() >= 0; }

wire::SharedPage* page() { return shared_page.load(std::memory_order_acquire); }

bool has_ended() {
  pollfd state{fd(), 0, 0};
  return sys::poll_once(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

bool is_given_up() {
  const wire::SharedPage* const shared = page();
  return shared != nullptr && __atomic_load_n(&shared->given_up, __ATOMIC_ACQUIRE) != 0;
}

// A program that was told to end is not told otherwise by one that was not asked.
GivingUp give_up(uint32_t epoch) {
  wire::SharedPage& shared = *page();
  if (!wire::tells_to_exit(epoch)) {
    const uint32_t next = wire::epoch_after(epoch, wire::Verdict::resume);
    if (!__atomic_compare_exchange_n(&shared.epoch, &epoch, next, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
      return GivingUp::moved;
    }
  }
  const bool is_first = __atomic_exchange_n(&shared.given_up, 1U, __ATOMIC_SEQ_CST) == 0;
  syscall(SYS_futex, &shared.epoch, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  // Should it only have been asleep, it is to let go of all that it holds.
  knocked_at.store(~uint64_t{0}, std::memory_order_relaxed);
  knock();
  return is_first ? GivingUp::first : GivingUp::done;
}

void say_that_it_is_given_up() {
  Line line;
  line << "the keeper (process " << page()->keeper_pid
       << ") has shown no sign of life for a second: it is given up, and nothing is checkpointed, "
          "restored or parked any more; the program goes on; if the keeper is stopped, end it "
          "(kill -KILL), for it may hold ports, and restart the program to have one again";
  log_line(LogLevel::error, line);
}

void knock() {
  const uint32_t now = __atomic_load_n(&page()->progress, __ATOMIC_RELAXED);
  uint64_t before = knocked_at.load(std::memory_order_relaxed);
  if (before == now || !knocked_at.compare_exchange_strong(before, now)) return;
  wire::WireHeader header{wire::Type::knock, wire::kVersion};
  const iovec piece{&header, sizeof header};
  // No room: then there is enough in the channel that it will wake up for.
  packet::send(fd(), &piece, 1, nullptr, 0);
}

namespace {

// What is in the channel is of no use to anyone, and a socket in it has a port; what
// the keeper sends from here on it gets back.
void empty_channel() {
  syscall(SYS_shutdown, fd(), SHUT_RDWR);
  wire::WireHeader header;
  Arrived arrived{};
  while (packet::receive(fd(), &header, sizeof header, nullptr, 0, arrived) >= 0 ||
         errno == EPROTO) {
  }
}

// By a thread that asks.  False: the keeper has moved.
bool give_up_aloud() {
  const GivingUp result = give_up(epoch_now());
  if (result == GivingUp::moved) return false;
  if (result == GivingUp::first) say_that_it_is_given_up();
  return true;
}

}  // namespace

int send(const iovec* pieces, size_t count, const int* fds, size_t fd_count) {
  Retries retries;
  for (;;) {
    if (is_given_up()) return ESHUTDOWN;
    const int error = packet::send(fd(), pieces, count, fds, fd_count);
    if (error == 0 || !may_retry(error)) return error;
    if (retries.wait(error)) continue;
    if (!retries.has_given_up()) return error;
    if (give_up_aloud()) return ESHUTDOWN;
    retries = {};
  }
}

int64_t milliseconds_now() {
  timespec now{};
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

namespace {

// False with errno.
bool await_packet(Patience& patience) {
  for (;;) {
    pollfd packet{fd(), POLLIN, 0};
    const int ready = sys::poll(&packet, 1, wire::kSliceMs);
    if (ready < 0 && errno != EINTR) return false;
    if (ready == 0 && !patience.go_on()) {
      errno = ETIMEDOUT;
      if (!patience.has_given_up()) return false;
      if (!give_up_aloud()) patience = Patience(kAnswerPatienceMs);
    }
    if (ready == 0 && is_given_up()) {
      empty_channel();
      errno = ESHUTDOWN;
      return false;
    }
    if (ready <= 0) continue;
    if ((packet.revents & POLLIN) != 0) return true;
    errno = EPIPE;
    return false;
  }
}

}  // namespace

ssize_t receive(void* packet, size_t size, int* fds, size_t fd_room, Arrived& arrived,
                Patience& patience) {
  for (;;) {
    if (!await_packet(patience)) return -1;
    const ssize_t received = packet::receive(fd(), packet, size, fds, fd_room, arrived);
    if (received >= 0 || (errno != EAGAIN && errno != EINTR)) return received;
  }
}

namespace {

union Answer {
  wire::WireHeader header;
  wire::ClaimedMessage claimed;
  wire::ExchangeMessage exchange;
  wire::IdentifyMessage identify;
};

void identify(wire::IdentifyMessage answer) {
  answer.header.type = wire::Type::identified;
  const iovec piece{&answer, sizeof answer};
  send(&piece, 1, nullptr, 0);
}

constinit std::atomic<Exchange> exchange_now = nullptr;

// Answers what the keeper asks of its own accord.  False: it was none of that, and
// is the caller's.
bool serve(const Answer& answer, ssize_t size, int socket) {
  if (answer.header.type == wire::Type::identify &&
      static_cast<size_t>(size) == sizeof answer.identify) {
    identify(answer.identify);
    return true;
  }
  if (answer.header.type != wire::Type::exchange) return false;
  const Exchange exchange = exchange_now.load(std::memory_order_acquire);
  if (static_cast<size_t>(size) != sizeof answer.exchange || socket < 0 || exchange == nullptr) {
    return false;
  }
  exchange(answer.exchange, socket);
  wire::ClaimMessage done{
      {wire::Type::exchanged, wire::kVersion}, answer.exchange.entry, 0, answer.exchange.inode};
  const iovec piece{&done, sizeof done};
  send(&piece, 1, nullptr, 0);
  return true;
}

}  // namespace

void on_exchange(Exchange exchange) { exchange_now.store(exchange, std::memory_order_release); }

void serve_exchange() {
  pollfd packet{fd(), POLLIN, 0};
  if (sys::poll(&packet, 1, 0) <= 0 || (packet.revents & POLLIN) == 0) return;
  Answer answer{};
  Arrived arrived{};
  int socket = -1;
  Patience patience(wire::kSliceMs);
  const ssize_t size = receive(&answer, sizeof answer, &socket, 1, arrived, patience);
  if (size < 0 || serve(answer, size, socket)) return;
  if (arrived.fd_count > 0) sys::close(socket);
}

namespace {

// `socket`: goes with the question, where that gives one back, and is the one
// that has come with the answer, or -1.
int ask(const void* question, size_t question_size, wire::Type type, int& socket) {
  const iovec piece{const_cast<void*>(question), question_size};
  const int unsent = send(&piece, 1, &socket, type == wire::Type::give_back ? 1 : 0);
  socket = -1;
  if (unsent != 0) return unsent;
  Patience patience(kAnswerPatienceMs);
  for (;;) {
    Answer answer{};
    Arrived arrived{};
    const ssize_t size = receive(&answer, sizeof answer, &socket, 1, arrived, patience);
    if (size < 0) return errno;
    if (serve(answer, size, socket)) {
      socket = -1;
      continue;
    }
    const bool whole = static_cast<size_t>(size) == sizeof answer.claimed &&
                       answer.header.type == wire::Type::claimed;
    if (whole && answer.claimed.status == 0 && type == wire::Type::claim && arrived.fd_count == 0) {
      return EMFILE;
    }
    if (whole) return answer.claimed.status;
    // A `ready` that nobody waited for.
    if (arrived.fd_count > 0) sys::close(socket);
    socket = -1;
  }
}

template <typename Question>
int ask_for_nothing(const Question& question) {
  int none = -1;
  return ask(&question, sizeof question, question.header.type, none);
}

}  // namespace

int ask(wire::Type type, uint32_t entry, int& socket, uint64_t shared) {
  const wire::ClaimMessage claim{{type, wire::kVersion}, entry, 0, shared};
  return ask(&claim, sizeof claim, type, socket);
}

int ask(const wire::UnparkMessage& question) { return ask_for_nothing(question); }

int ask(const wire::SweepMessage& question) { return ask_for_nothing(question); }

int ask(const wire::OthersMessage& question) { return ask_for_nothing(question); }

namespace {

// The keeper is to know who speaks at this end: the kernel tells it with each
// message, and from Linux 6.5 on gives a pidfd (asm-generic/socket.h, SO_PASSPIDFD).
// False: it gives none.
bool tell_senders_at(int keepers_end) {
  constexpr int kPassPidfd = 76;
  const int on = 1;
  sys::setsockopt(keepers_end, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  return sys::setsockopt(keepers_end, SOL_SOCKET, kPassPidfd, &on, sizeof on) == 0;
}

void say_that_it_is_shared(int error, const char* remedy) {
  Line line;
  line << "process " << sys::getpid()
       << " has no channel of its own to the keeper: " << strerrordesc_np(error)
       << "; it shares its parent's" << remedy;
  log_line(LogLevel::warn, line);
}

// 0 or errno.  `ours`: the child's end.
int join(int ours, int keepers_end) {
  wire::WireHeader joined{wire::Type::joined, wire::kVersion};
  const iovec first{&joined, sizeof joined};
  const int error = packet::send(ours, &first, 1, nullptr, 0);
  if (error != 0) return error;
  wire::ForkedMessage forked{{wire::Type::forked, wire::kVersion}, sys::getpid()};
  const iovec piece{&forked, sizeof forked};
  return send(&piece, 1, &keepers_end, 1);
}

}  // namespace

void renew_after_fork() {
  if (is_given_up()) return;
  int pair[2] = {-1, -1};
  const auto make_pair = [&pair] {
    return syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0;
  };
  bool made = make_pair();
  if (!made && errno == EMFILE) {
    const own_fds::RaisedLimit raised(0);
    made = make_pair();
  }
  if (!made) return say_that_it_is_shared(errno, ": raise RLIMIT_NOFILE");
  const bool with_pidfd = tell_senders_at(pair[1]);
  const int unsent = join(pair[0], pair[1]);
  sys::close(pair[1]);
  if (unsent != 0) {
    sys::close(pair[0]);
    // Has been said, or is when it matters.
    if (unsent == EPIPE || unsent == ECONNRESET || unsent == ESHUTDOWN) return;
    return say_that_it_is_shared(unsent, "");
  }
  own_fds::replace(own_fds::Use::channel, pair[0]);
  // A keeper that is at work asks later: then it is answered with the next question.
  Patience patience(kJoinPatienceMs);
  if (!with_pidfd && await_packet(patience)) serve_exchange();
}

}  // namespace udpcr::channel
