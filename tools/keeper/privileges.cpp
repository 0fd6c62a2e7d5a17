// SPDX-License-Identifier: LGPL-2.1-or-later
#include "privileges.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <udpcr/udpcr.hpp>

#include "keeper/monitor/client.hpp"
#include "keeper/monitor/confine.hpp"

namespace udpcr::keeper {

namespace {

// What a monitor needs.  NET_ADMIN: SO_RCVBUFFORCE, SO_MARK.  NET_RAW: datagrams with
// their true source.  NET_BIND_SERVICE: ports below 1024.  KILL, SETUID: signals to
// programs that have changed their user, with that user's rights.  CHOWN: sockets that
// belonged to another user.  DAC_OVERRIDE: the image's folder may belong to another
// user than root.  SYS_ADMIN: sockets of other network namespaces (setns(2)).
// SYS_PTRACE: which sockets the program has still open (/proc/PID/fd).
constexpr unsigned kNeeded[] = {CAP_NET_ADMIN,    CAP_NET_RAW,   CAP_NET_BIND_SERVICE,
                                CAP_KILL,         CAP_SETUID,    CAP_CHOWN,
                                CAP_DAC_OVERRIDE, CAP_SYS_ADMIN, CAP_SYS_PTRACE};

constexpr std::uint64_t needed() {
  std::uint64_t all = 0;
  for (const unsigned capability : kNeeded) all |= std::uint64_t{1} << capability;
  return all;
}

struct Capabilities {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};

  Capabilities() {
    if (syscall(SYS_capget, &header, data) != 0) {
      throw Error("capget: " + std::string(std::strerror(errno)), errno);
    }
  }
  void set() {
    if (syscall(SYS_capset, &header, data) != 0) {
      throw Error("capset: " + std::string(std::strerror(errno)), errno);
    }
  }
};

}  // namespace

std::uint64_t own_capabilities() {
  const Capabilities all;
  return std::uint64_t{all.data[1].permitted} << 32 | all.data[0].permitted;
}

void keep_capabilities(std::uint64_t most) {
  // The bounding set stays: no_new_privs says the same, and by it other keepers and the
  // tool tell this one from the root of a container (proof.hpp).
  Capabilities all;
  for (unsigned i = 0; i < 2; ++i) {
    all.data[i].permitted &= __u32(most >> 32 * i);
    all.data[i].effective = all.data[i].permitted;
    all.data[i].inheritable = 0;
  }
  all.set();
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

namespace {

void settle() {
  // No folder is kept busy by us; every path that we were given is absolute.
  if (chdir("/") != 0) throw Error("chdir: " + std::string(std::strerror(errno)), errno);

  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // The keeper ends with its program, not with the terminal or the unit; see
  // receive_end_signal() for SIGTERM.
  for (const int ignored : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP}) {
    signal(ignored, SIG_IGN);
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    throw Error("prctl: " + std::string(std::strerror(errno)), errno);
  }
}

bool confined = false;

void confine() {
  confined = monitor::confine_keeper();
  // Not before: what has the name is confined, and the monitor has another.
  prctl(PR_SET_NAME, "udpcr-keeper");
}

}  // namespace

void enter_keeper_life(int& channel, std::uint64_t most) {
  if (channel <= STDERR_FILENO) {
    channel = fcntl(channel, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (channel < 0) throw Error("the keeper's channel cannot be moved", errno);
  }
  fcntl(channel, F_SETFD, FD_CLOEXEC);
  if (channel > STDERR_FILENO + 1) close_range(STDERR_FILENO + 1, unsigned(channel) - 1, 0);
  close_range(unsigned(channel) + 1, ~0U, 0);

  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (fcntl(STDERR_FILENO, F_GETFD) < 0) dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO) close(null);
  }

  settle();
  monitor::separate(most & needed());
  confine();
}

bool is_confined() noexcept { return confined; }

void enter_session_life(std::uint64_t most) {
  settle();
  keep_capabilities(most & needed());
  confine();
}

}  // namespace udpcr::keeper
