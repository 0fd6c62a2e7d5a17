// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper_start.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "text.h"
#include "wire.h"

namespace udpcr {

namespace {

constexpr size_t kStackSize = 64 * 1024;
constexpr size_t kMostVariables = 512;

// Everything that the two clones need; they share the caller's memory and the
// caller waits until the second has become the keeper.
struct Birth {
  const char* tool;
  int channel;
  char channel_text[16];
  const char* variables[kMostVariables + 1];
  unsigned char* inner_stack_top;
  int error_number;
  const char* step;
};

int become_keeper(void* argument) {
  auto* const birth = static_cast<Birth*>(argument);
  setsid();
  // In here the fd table is our own.
  fcntl(birth->channel, F_SETFD, 0);
  // Signals stay blocked until the keeper unblocks them itself: the program's
  // handlers must not run in here.
  const char* const arguments[] = {"udpcr", "keeper", birth->channel_text, nullptr};
  execve(birth->tool, const_cast<char**>(arguments), const_cast<char**>(birth->variables));
  birth->error_number = errno;
  birth->step = "execve";
  _exit(127);
}

// CLONE_VFORK and an exit signal of 0: the caller stands still, and gets no
// SIGCHLD.  execve would turn the exit signal into SIGCHLD (fs/exec.c,
// begin_new_exec), so the keeper is a child of this one, which ends at once.
constexpr int kCloneFlags = CLONE_VM | CLONE_VFORK;

int midwife(void* argument) {
  auto* const birth = static_cast<Birth*>(argument);
  if (clone(become_keeper, birth->inner_stack_top, kCloneFlags, birth) < 0) {
    birth->error_number = errno;
    birth->step = "clone";
  }
  _exit(0);
}

void choose_variables(Birth& birth, const char* const* environment) {
  size_t count = 0;
  for (; *environment != nullptr && count < kMostVariables; ++environment) {
    if (text_after(*environment, "LD_PRELOAD=") != nullptr ||
        text_after(*environment, "LD_AUDIT=") != nullptr ||
        text_after(*environment, "UDPCR_") != nullptr) {
      continue;
    }
    birth.variables[count++] = *environment;
  }
  birth.variables[count] = nullptr;
}

KeeperStartError give_birth(const char* tool, int channel, const char* const* environment) {
  const size_t size = 2 * kStackSize + sizeof(Birth);
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return {errno, "mmap"};
  auto* const bottom = static_cast<unsigned char*>(memory);
  auto* const birth = reinterpret_cast<Birth*>(bottom + 2 * kStackSize);
  birth->tool = tool;
  birth->channel = channel;
  birth->inner_stack_top = bottom + kStackSize;
  Text<16> number;
  number << channel;
  memcpy(birth->channel_text, number.c_str(), number.length() + 1);
  choose_variables(*birth, environment);

  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // The raw call: the C library's leaves its own two signals open, and the
  // shim interposes it.
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, 8);
  const int child = clone(midwife, bottom + 2 * kStackSize, kCloneFlags, birth);
  KeeperStartError error{birth->error_number, birth->step};
  if (child < 0) {
    error = {errno, "clone"};
  } else {
    while (syscall(SYS_wait4, child, nullptr, __WCLONE, nullptr) < 0 && errno == EINTR) {
    }
  }
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, 8);
  munmap(memory, size);
  return error;
}

KeeperStartError make_page(int& page) {
  page = static_cast<int>(syscall(SYS_memfd_create, "udpcr-page", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (page < 0) return {errno, "memfd_create"};
  if (ftruncate(page, wire::kPageSize) != 0 ||
      fcntl(page, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return {errno, "sealing the shared page"};
  }
  void* const map = mmap(nullptr, wire::kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
  if (map == MAP_FAILED) return {errno, "mmap"};
  static_cast<wire::SharedPage*>(map)->version = wire::kVersion;
  munmap(map, wire::kPageSize);
  return {0, nullptr};
}

KeeperStartError send_start(int channel, const Settings& settings, int page) {
  wire::StartMessage start{{wire::Type::start, wire::kVersion}, settings};
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{&start, sizeof start};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof page);
  memcpy(CMSG_DATA(rights), &page, sizeof page);
  while (syscall(SYS_sendmsg, channel, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return {errno, "sendmsg"};
  }
  return {0, nullptr};
}

}  // namespace

KeeperStartError start_keeper(const char* tool, const Settings& settings,
                              const char* const* environment, KeeperConnection& connection) {
  connection = {-1, -1};
  int pair[2] = {-1, -1};
  KeeperStartError error = make_page(connection.page);
  if (error.error_number == 0 &&
      syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    error = {errno, "socketpair"};
  }
  if (error.error_number == 0) error = give_birth(tool, pair[1], environment);
  if (pair[1] >= 0) syscall(SYS_close, pair[1]);
  if (error.error_number == 0) error = send_start(pair[0], settings, connection.page);
  if (error.error_number != 0) {
    if (pair[0] >= 0) syscall(SYS_close, pair[0]);
    if (connection.page >= 0) syscall(SYS_close, connection.page);
    connection = {-1, -1};
    return error;
  }
  connection.channel = pair[0];
  return error;
}

const char* keeper_start_remedy(int error_number) {
  switch (error_number) {
    case EAGAIN:
      return "the user has as many processes as RLIMIT_NPROC allows: raise it, or start the "
             "program with `udpcr run`";
    case ENOENT:
      return "install udpcr anew";
    case EACCES:
    case EPERM:
      return "allow it to be executed here, or start the program with `udpcr run`";
    case EMFILE:
    case ENFILE:
      return "raise RLIMIT_NOFILE";
    default:
      return "start the program with `udpcr run`";
  }
}

}  // namespace udpcr
