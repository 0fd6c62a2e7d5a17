// SPDX-License-Identifier: LGPL-2.1-or-later
#include "adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channel.h"
#include "fd_table.h"
#include "log.h"
#include "notes.h"
#include "real.h"
#include "text.h"

namespace udpcr::adopt {

namespace {

constexpr int kAnswerPatienceMs = 10'000;

// An address as the table has it.
struct Key {
  uint16_t family = AF_UNSPEC;
  uint16_t port = 0;  // host order
  uint32_t scope = 0;
  uint8_t address[16] = {};
};

bool read_key(const sockaddr* address, socklen_t length, Key& key) {
  if (address == nullptr || length < sizeof(sa_family_t)) return false;
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in v4;
    memcpy(&v4, address, sizeof v4);
    key.port = ntohs(v4.sin_port);
    memcpy(key.address, &v4.sin_addr, 4);
  } else if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    key.port = ntohs(v6.sin6_port);
    key.scope = v6.sin6_scope_id;
    memcpy(key.address, &v6.sin6_addr, 16);
  } else {
    return false;
  }
  key.family = address->sa_family;
  return true;
}

wire::EntryState state_of(const wire::TableEntry& entry) {
  // The keeper writes to it, through another mapping.
  return std::atomic_ref(const_cast<wire::EntryState&>(entry.state)).load();
}

int int_option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

bool same_socket_kind(int fd, const wire::TableEntry& entry) {
  if (int_option(fd, SO_DOMAIN) != entry.family || int_option(fd, SO_PROTOCOL) != entry.protocol) {
    return false;
  }
  char device[16] = {};
  socklen_t size = sizeof device;
  if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size) != 0) device[0] = '\0';
  device[sizeof device - 1] = '\0';
  return strcmp(device, entry.device) == 0;
}

bool was_bound_so(const wire::TableEntry& entry, const Key& key) {
  return (entry.flags & wire::kFdBound) != 0 && entry.family == key.family &&
         entry.local_port == key.port && entry.local_scope == key.scope &&
         memcmp(entry.local_address, key.address, sizeof key.address) == 0;
}

bool was_connected_so(const wire::TableEntry& entry, const Key& key) {
  return entry.peer_port == key.port && entry.peer_scope == key.scope &&
         memcmp(entry.peer_address, key.address, sizeof key.address) == 0;
}

// The exchange of one request and its answer.  Signals are blocked meanwhile,
// so that no handler waits for a turn that its own thread holds.
class Turn {
 public:
  Turn() {
    sigset_t all;
    sigfillset(&all);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, 8);
    while (taken.exchange(true, std::memory_order_acquire)) sched_yield();
  }
  ~Turn() {
    taken.store(false, std::memory_order_release);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, 8);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  static std::atomic<bool> taken;
  sigset_t before_;
};

std::atomic<bool> Turn::taken;

// 0 and, for a claim, the socket; or an errno.
int ask(wire::Type type, uint32_t entry, int& socket) {
  socket = -1;
  const int channel = shim.channel.load();
  if (channel < 0) return EPIPE;
  const Turn turn;
  wire::ClaimMessage claim{{type, wire::kVersion}, entry};
  const iovec part{&claim, sizeof claim};
  if (const int error = channel::send(channel, &part, 1, nullptr, 0); error != 0) return error;
  wire::ClaimedMessage answer;
  unsigned fds = 0;
  if (channel::receive(channel, wire::Type::claimed, &answer, sizeof answer, &socket, 1, fds,
                       kAnswerPatienceMs) != sizeof answer) {
    say(LogLevel::error, "not restored: the keeper does not answer; the program goes on without");
    shim.claimable.store(0);
    return EPIPE;
  }
  if (answer.status == 0 && type == wire::Type::claim && fds != 1) return EBADMSG;
  return answer.status;
}

// Puts the restored socket where the program's fresh one is, on every fd that
// shares it, with the options and flags that this run has set.
void take_place(int fd, int restored, const wire::TableEntry& entry) {
  fd_table::Slot* const slot = fd_table::find(fd);
  const uint64_t fresh_inode = slot->inode.load();
  const int status = real().fcntl(fd, F_GETFL);
  if (status >= 0) real().fcntl(restored, F_SETFL, status);
  notes::replay_options(fresh_inode, fd, restored);
  const bool shared = (slot->word.load() & fd_table::kShared) != 0;
  const uint32_t flags =
      fd_table::kAdopted | wire::kFdOriginKnown | (shared ? fd_table::kShared : 0) |
      (entry.flags & (wire::kFdBound | wire::kFdBoundPort | wire::kFdBoundAddress));
  const int first = shared ? 0 : fd;
  const int end = shared ? fd_table::end() : fd + 1;
  for (int twin = first; twin < end; ++twin) {
    const fd_table::Slot* const other = fd_table::find(twin);
    if (other == nullptr || (other->word.load() & fd_table::kTracked) == 0 ||
        other->inode.load() != fresh_inode) {
      continue;
    }
    const int descriptor_flags = real().fcntl(twin, F_GETFD);
    const bool cloexec = descriptor_flags >= 0 && (descriptor_flags & FD_CLOEXEC) != 0;
    real().dup3(restored, twin, cloexec ? O_CLOEXEC : 0);
    fd_table::track(twin, flags | (cloexec ? wire::kFdCloexec : 0));
    notes::replay_epoll(twin);
  }
  real().close(restored);
}

bool claim(int fd, uint32_t number) {
  int restored = -1;
  if (ask(wire::Type::claim, number, restored) != 0) return false;
  take_place(fd, restored, shim.table->entry[number]);
  return true;
}

// Claims the first entry that `matches`; entries without a peer come first, for
// a program that binds does not know yet whom it will connect to.
template <typename Matches>
bool claim_first(int fd, Matches matches) {
  const wire::Table& table = *shim.table;
  constexpr bool kOrder[] = {false, true};
  for (const bool connected : kOrder) {
    for (uint32_t i = 0; i < table.entries; ++i) {
      const wire::TableEntry& entry = table.entry[i];
      if (state_of(entry) != wire::EntryState::held || (entry.peer_port != 0) != connected ||
          !matches(entry) || !same_socket_kind(fd, entry)) {
        continue;
      }
      if (claim(fd, i)) return true;
    }
  }
  return false;
}

void count_claimable() {
  uint32_t held = 0;
  for (uint32_t i = 0; i < shim.table->entries; ++i) {
    if (state_of(shim.table->entry[i]) == wire::EntryState::held) ++held;
  }
  shim.claimable.store(held);
}

bool may_adopt(int fd) {
  const uint32_t word = fd_table::word(fd);
  constexpr uint32_t kUsed = wire::kFdBound | fd_table::kAdopted;
  return (word & fd_table::kTracked) != 0 && (word & kUsed) == 0 && in_own_process();
}

bool peer_is(int fd, const Key& key) {
  sockaddr_storage peer;
  socklen_t length = sizeof peer;
  Key now;
  return getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0 &&
         read_key(reinterpret_cast<const sockaddr*>(&peer), length, now) &&
         now.family == key.family && now.port == key.port && now.scope == key.scope &&
         memcmp(now.address, key.address, sizeof key.address) == 0;
}

}  // namespace

bool at_bind(int fd, const sockaddr* address, socklen_t length) {
  const KeepErrno keep;
  Key key;
  if (!may_adopt(fd) || !read_key(address, length, key)) return false;
  const bool adopted =
      claim_first(fd, [&key](const wire::TableEntry& entry) { return was_bound_so(entry, key); });
  count_claimable();
  return adopted;
}

bool at_connect(int fd, const sockaddr* address, socklen_t length) {
  const KeepErrno keep;
  Key key;
  if (!read_key(address, length, key) || key.port == 0) return false;
  if ((fd_table::word(fd) & fd_table::kAdopted) != 0) return peer_is(fd, key);
  if (!possible() || !may_adopt(fd)) return false;
  const bool adopted = claim_first(fd, [&key](const wire::TableEntry& entry) {
    return (entry.flags & wire::kFdBound) == 0 && entry.family == key.family &&
           was_connected_so(entry, key);
  });
  count_claimable();
  return adopted;
}

bool make_way_for_bind(const sockaddr* address, socklen_t length) {
  const KeepErrno keep;
  Key key;
  if (!read_key(address, length, key)) return false;
  bool made = false;
  for (uint32_t i = 0; i < shim.table->entries; ++i) {
    const wire::TableEntry& entry = shim.table->entry[i];
    if (state_of(entry) != wire::EntryState::held || entry.actual_port != key.port) continue;
    int none;
    made = ask(wire::Type::release, i, none) == 0 || made;
  }
  count_claimable();
  return made;
}

}  // namespace udpcr::adopt
