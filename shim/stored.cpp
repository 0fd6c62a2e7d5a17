// SPDX-License-Identifier: LGPL-2.1-or-later
#include "stored.h"

#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "fd_table.h"
#include "identity.h"
#include "listen.h"
#include "log.h"
#include "sys.h"
#include "wire.h"

namespace udpcr::stored {

namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

struct Stored {
  int fd;
  unsigned char key[wire::kParkKeySize];
};
constinit Stored sockets[wire::kMostStored] = {};
constinit uint32_t count = 0;

int digit_of(char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  return -1;
}

// A name of LISTEN_FDNAMES, which ends with a colon or the text.
bool read_key(const char* name, size_t size, unsigned char (&key)[wire::kParkKeySize]) {
  constexpr size_t kPrefix = sizeof wire::kStoredPrefix - 1;
  if (size != kPrefix + 2 * sizeof key || memcmp(name, wire::kStoredPrefix, kPrefix) != 0) {
    return false;
  }
  for (size_t i = 0; i < sizeof key; ++i) {
    const int high = digit_of(name[kPrefix + 2 * i]);
    const int low = digit_of(name[kPrefix + 2 * i + 1]);
    if (high < 0 || low < 0) return false;
    key[i] = static_cast<unsigned char>(high << 4 | low);
  }
  return true;
}

bool is_left_over(const char* name, size_t size) {
  constexpr size_t kSize = sizeof wire::kStoredTest - 1;
  return size == kSize && memcmp(name, wire::kStoredTest, kSize) == 0;
}

bool is_socket_for_us(int fd, const char* name, size_t size, const Settings& settings,
                      unsigned char (&key)[wire::kParkKeySize]) {
  wire::ParkKey own;
  if (!read_key(name, size, key)) return false;
  memcpy(&own, key, sizeof own);
  uint64_t inode = 0;
  uint32_t flags = 0;
  return own.is_for(own_park_key(settings), settings.match) && examine_socket(fd, inode, flags);
}

// The program's own at `from` changes places with one of ours at `to`, or with
// nothing.
bool exchange(int from, int to) {
  const int cloexec = (sys::fcntl(from, F_GETFD) & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0;
  const bool is_free = sys::fcntl(to, F_GETFD) < 0;
  const int spare = is_free ? -1 : sys::dup_high(to);
  if (spare < 0 && !is_free) return false;
  if (sys::dup3(from, to, cloexec) < 0) return false;
  if (is_free) {
    sys::close(from);
  } else {
    sys::dup3(spare, from, O_CLOEXEC);
    sys::close(spare);
  }
  return true;
}

void moved(int from, int to) {
  for (uint32_t i = 0; i < count; ++i) {
    if (sockets[i].fd == from) sockets[i].fd = to;
  }
}

}  // namespace

uint32_t take(const Settings& settings) {
  uint32_t handed = 0;
  char* const names = listen::handed_names(handed);
  if (names == nullptr || strstr(names, wire::kStoredPrefix) == nullptr) return 0;
  const KeepErrno keep;
  uint32_t removed = 0;
  uint32_t kept = 0;  // of the program's own
  char* end = names;  // of their names
  char* name = names;
  bool named = true;  // a name begins here
  for (uint32_t i = 0; i < handed; ++i) {
    const size_t size = strcspn(name, ":");
    const int fd = kFirst + static_cast<int>(i);
    const int place = kFirst + static_cast<int>(kept);
    if (is_left_over(name, size)) {
      sys::close(fd);
      ++removed;
    } else if (count < wire::kMostStored &&
               is_socket_for_us(fd, name, size, settings, sockets[count].key)) {
      sys::fcntl(fd, F_SETFD, FD_CLOEXEC);
      sockets[count++].fd = fd;
      ++removed;
    } else {
      if (fd != place) {
        if (!exchange(fd, place)) {
          log_line(LogLevel::error,
                   "sockets that the service manager has kept cannot be told from the program's "
                   "own: no fd is free; raise LimitNOFILE=");
        }
        moved(place, fd);
      }
      if (named && kept > 0) *end++ = ':';
      memmove(end, name, size);
      end += size;
      ++kept;
    }
    named = name[size] == ':';
    name += size + (named ? 1 : 0);
  }
  if (removed > 0) listen::reduce(kept, end);
  return count;
}

bool has(int fd) {
  for (uint32_t i = 0; i < count; ++i) {
    if (sockets[i].fd == fd) return true;
  }
  return false;
}

int send() {
  int error = 0;
  for (uint32_t first = 0; first < count && error == 0;) {
    wire::StoredMessage message{{wire::Type::stored, wire::kVersion}, 0, 0};
    static constinit unsigned char keys[wire::kFdsPerPart][wire::kParkKeySize] = {};
    int fds[wire::kFdsPerPart];
    for (; first < count && message.count < wire::kFdsPerPart; ++first, ++message.count) {
      memcpy(keys[message.count], sockets[first].key, wire::kParkKeySize);
      fds[message.count] = sockets[first].fd;
    }
    const iovec pieces[] = {{&message, sizeof message},
                            {keys, message.count * size_t{wire::kParkKeySize}}};
    error = channel::send(pieces, 2, fds, message.count);
  }
  close_all();
  return error;
}

void close_all() {
  const KeepErrno keep;
  for (uint32_t i = 0; i < count; ++i) sys::close(sockets[i].fd);
  count = 0;
}

}  // namespace udpcr::stored
