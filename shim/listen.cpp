// SPDX-License-Identifier: LGPL-2.1-or-later
#include "listen.h"

#include <stdlib.h>
#include <string.h>

#include "fd_table.h"
#include "log.h"
#include "own_fds.h"
#include "sys.h"
#include "text.h"
#include "wire.h"

namespace udpcr::listen {

namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
constexpr char kUnnamed[] = "unknown";

constinit Text<32> fds_entry;
constinit Text<32> pid_entry;
constinit Text<2 * wire::kMostNames + 32> names_entry;

bool names_variable(const char* entry, const char* variable) {
  const size_t length = strlen(variable);
  return strncmp(entry, variable, length) == 0 && entry[length] == '=';
}

bool tells_of_sockets(const char* entry) {
  return names_variable(entry, "LISTEN_FDS") || names_variable(entry, "LISTEN_PID") ||
         names_variable(entry, "LISTEN_FDNAMES");
}

// A copy of the environment: setenv(3) would allocate.
char** environment_with_room(size_t more) {
  size_t count = 0;
  while (environ[count] != nullptr) ++count;
  const size_t size = (count + more + 1) * sizeof(char*);
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  return static_cast<char**>(memory);
}

}  // namespace

Activation activation() {
  const char* const pid = getenv("LISTEN_PID");
  const char* const fds = getenv("LISTEN_FDS");
  uint64_t number = 0;
  uint64_t count = 0;
  if (pid == nullptr || !parse_number(pid, INT32_MAX, number) ||
      static_cast<pid_t>(number) != sys::getpid() || fds == nullptr ||
      !parse_number(fds, FdTable::kMostFds, count)) {
    return {0, "", 0};
  }
  const char* const names = getenv("LISTEN_FDNAMES");
  const size_t size = names == nullptr ? 0 : strlen(names);
  if (size > wire::kMostNames) return {static_cast<uint32_t>(count), "", 0};
  return {static_cast<uint32_t>(count), size == 0 ? "" : names, static_cast<uint32_t>(size)};
}

char* handed_names(uint32_t& count) {
  count = activation().count;
  return count == 0 ? nullptr : getenv("LISTEN_FDNAMES");
}

void reduce(uint32_t count, char* names_end) {
  *names_end = '\0';
  if (count > 0) {
    // It has not become longer.
    Text<16> number;
    number << count;
    memcpy(getenv("LISTEN_FDS"), number.c_str(), number.size() + 1);
    return;
  }
  char** kept = environ;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!tells_of_sockets(*entry)) *kept++ = *entry;
  }
  *kept = nullptr;
}

uint32_t room_behind(uint32_t count) {
  const KeepErrno keep;
  constexpr uint32_t kEnough = 65536;
  const int first = kFirst + static_cast<int>(count);
  uint32_t room = 0;
  while (room < kEnough) {
    const int fd = first + static_cast<int>(room);
    if (!own_fds::is_own(fd) && sys::fcntl(fd, F_GETFD) >= 0) break;
    ++room;
  }
  return room;
}

void announce(uint32_t count, const char* names, size_t names_size) {
  const Activation before = activation();
  fds_entry << "LISTEN_FDS=" << before.count + count;
  pid_entry << "LISTEN_PID=" << sys::getpid();
  names_entry << "LISTEN_FDNAMES=";
  for (uint32_t i = 0; i < before.count && before.names_size == 0; ++i) {
    names_entry << kUnnamed << ':';
  }
  if (before.names_size > 0) names_entry << before.names << ':';
  for (size_t i = 0; i < names_size; ++i) names_entry << names[i];

  char** const changed = environment_with_room(3);
  if (changed == nullptr) {
    return log_line(LogLevel::error,
                    "no memory for LISTEN_FDS: the program is not told of its restored sockets");
  }
  size_t used = 0;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!tells_of_sockets(*entry)) changed[used++] = *entry;
  }
  changed[used++] = const_cast<char*>(fds_entry.c_str());
  changed[used++] = const_cast<char*>(pid_entry.c_str());
  changed[used++] = const_cast<char*>(names_entry.c_str());
  environ = changed;
}

}  // namespace udpcr::listen
