// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper_start.h"

#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "anchor.h"
#include "start_message.h"
#include "sys.h"
#include "text.h"
#include "wire.h"

namespace udpcr {

namespace {

constexpr size_t kStackSize = size_t{32} << 10;

bool starts_with(const char* text, const char* prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

// The keeper must not load the shim, nor be told what the program was told.
bool passes_on(const char* entry) {
  return !starts_with(entry, "LD_PRELOAD=") && !starts_with(entry, "LD_AUDIT=") &&
         !starts_with(entry, "UDPCR_");
}

// What the new processes work with; in shared memory, so it is also their
// answer.
struct Birth {
  const char* tool;
  int channel;
  char* arguments[4];
  char** environment;
  unsigned char* keeper_stack_top;
  int error_number;  // 0: the keeper runs
  const char* step;
  uint32_t done;  // an anchor has tried
};

void set_default_dispositions() {
  // The kernel's struct sigaction; SIG_DFL needs nothing else in it.
  const struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    uint64_t mask;
  } standard = {};
  for (int signal = 1; signal <= 64; ++signal) {
    syscall(SYS_rt_sigaction, signal, &standard, nullptr, sys::kSignalSetSize);
  }
}

// Runs in the keeper-to-be.  Nothing but system calls: the memory is the
// program's.
int become_keeper(void* argument) {
  auto& birth = *static_cast<Birth*>(argument);
  syscall(SYS_setsid);
  // Handlers are the program's and must not run here.
  set_default_dispositions();
  const uint64_t none = 0;
  sys::set_signal_mask(SIG_SETMASK, &none, nullptr);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (sys::fcntl(fd, F_GETFD) < 0) sys::open("/dev/null", O_RDWR);
  }
  // Nothing of the program's is kept open, not even for a moment: who waits for
  // the end of a pipe would notice.
  const auto channel = static_cast<unsigned>(birth.channel);
  const int null = sys::open("/dev/null", O_RDWR);
  if (null >= 0) {
    sys::dup3(null, STDIN_FILENO, 0);
    sys::dup3(null, STDOUT_FILENO, 0);
  }
  syscall(SYS_close_range, STDERR_FILENO + 1, channel - 1, 0);
  syscall(SYS_close_range, channel + 1, ~0U, 0);
  sys::fcntl(birth.channel, F_SETFD, 0);
  syscall(SYS_execve, birth.tool, birth.arguments, birth.environment);
  birth.error_number = errno;
  birth.step = "its program cannot be executed";
  syscall(SYS_exit, 127);
  return 127;
}

void beget_keeper(Birth& birth) {
  if (__clone(become_keeper, birth.keeper_stack_top, CLONE_VM | CLONE_VFORK, &birth) < 0) {
    birth.error_number = errno;
    birth.step = "no process for it";
  }
}

// Runs in the process in between, whose end leaves the keeper without a
// parent.  Exit signal 0: invisible to the program's SIGCHLD and wait().
int beget_and_end(void* argument) {
  beget_keeper(*static_cast<Birth*>(argument));
  syscall(SYS_exit, 0);
  return 0;
}

// 0 or errno.
int beget_through_parentless(Birth& birth, unsigned char* stack_top) {
  const int between = __clone(beget_and_end, stack_top, CLONE_VM | CLONE_VFORK, &birth);
  if (between < 0) return errno;
  while (syscall(SYS_wait4, between, nullptr, __WCLONE, nullptr) < 0 && errno == EINTR) {
  }
  return 0;
}

// A process whose parent ends becomes the child of these.
bool is_reaper() {
  int subreaper = 0;
  syscall(SYS_prctl, PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
  return subreaper != 0 || sys::getpid() == 1;
}

// 0 or errno.
int beget_through_anchor(Birth& birth) {
  const long anchor = syscall(SYS_clone, 0, 0, 0, 0, 0);
  if (anchor < 0) return errno;
  if (anchor == 0) {
    beget_keeper(birth);
    const bool failed = birth.error_number != 0;
    __atomic_store_n(&birth.done, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &birth.done, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    if (failed) syscall(SYS_exit_group, 0);
    live_as_anchor();
  }
  while (__atomic_load_n(&birth.done, __ATOMIC_ACQUIRE) == 0) {
    sys::futex_wait(&birth.done, 0, wire::kSliceMs);
    int status = 0;
    if (syscall(SYS_wait4, anchor, &status, __WCLONE | WNOHANG | WUNTRACED, nullptr) != anchor) {
      continue;
    }
    // One that is stopped would keep us waiting for as long as it is.
    if (WIFSTOPPED(status)) {
      syscall(SYS_kill, anchor, SIGKILL);
      syscall(SYS_wait4, anchor, nullptr, __WCLONE, nullptr);
    }
    return ESRCH;
  }
  if (birth.error_number != 0) syscall(SYS_wait4, anchor, nullptr, __WCLONE, nullptr);
  return 0;
}

size_t count_entries(const char* const* environment) {
  size_t count = 0;
  while (environment != nullptr && environment[count] != nullptr) ++count;
  return count;
}

KeeperStartError failure(const char* step) { return {errno, step}; }

// `memory`: two stacks, what is shared, then room for the environment.
KeeperStartError give_birth(const char* tool, int channel, const char* const* environment,
                            unsigned char* memory) {
  Text<12> number;
  number << channel;
  char keeper[] = "keeper";
  char name[] = "udpcr";
  char channel_argument[12];
  memcpy(channel_argument, number.c_str(), number.size() + 1);

  auto& birth = *reinterpret_cast<Birth*>(memory + 2 * kStackSize);
  birth.tool = tool;
  birth.channel = channel;
  birth.arguments[0] = name;
  birth.arguments[1] = keeper;
  birth.arguments[2] = channel_argument;
  birth.keeper_stack_top = memory + 2 * kStackSize;
  birth.environment = reinterpret_cast<char**>(&birth + 1);
  size_t kept = 0;
  for (const char* const* entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    if (passes_on(*entry)) birth.environment[kept++] = const_cast<char*>(*entry);
  }

  const BlockSignals blocked;
  const int error = is_reaper() ? beget_through_anchor(birth)
                                : beget_through_parentless(birth, memory + kStackSize);
  if (error != 0) return {error, "no process for it"};
  return {birth.error_number, birth.step};
}

}  // namespace

KeeperStartError start_keeper(const char* tool, const Settings& settings,
                              const char* const* environment, KeeperConnection& connection) {
  const KeepErrno keep;
  Fd page(make_page());
  if (page.get() < 0) return failure("no shared page (memfd_create)");
  int pair[2] = {-1, -1};
  if (syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return failure("no channel to it (socketpair)");
  }
  Fd ours(pair[0]);
  Fd theirs(pair[1]);
  if (!ours.move_high() || !theirs.move_high()) return failure("no fd for its channel");
  // The kernel tells it who has sent the start message.
  const int on = 1;
  sys::setsockopt(theirs.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);

  const size_t size =
      2 * kStackSize + sizeof(Birth) + (count_entries(environment) + 1) * sizeof(char*);
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return failure("no memory for its stack");
  const KeeperStartError problem =
      give_birth(tool, theirs.get(), environment, static_cast<unsigned char*>(memory));
  munmap(memory, size);
  if (problem.error_number != 0) return problem;
  const int shared = page.get();
  const int unsent = send_start(ours.get(), settings, 0, &shared, 1);
  if (unsent != 0) return {unsent, "it does not take the start message"};
  connection.channel = ours.release();
  connection.page = page.release();
  return {0, nullptr};
}

}  // namespace udpcr
