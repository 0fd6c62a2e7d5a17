// SPDX-License-Identifier: LGPL-2.1-or-later
#include "running_program.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <set>

#include "keeper/control.hpp"
#include "process_file.hpp"
#include "program_file.hpp"

namespace udpcr {
namespace {

constexpr const char* kStandardNames[] = {"stdin", "stdout", "stderr"};

bool same_file(const std::string& one, const std::string& other) {
  struct stat left {};
  struct stat right {};
  return stat(one.c_str(), &left) == 0 && stat(other.c_str(), &right) == 0 &&
         left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

pid_t parent_of(pid_t pid) {
  const auto parent = status_numbers(pid, "PPid");
  return parent.empty() ? 0 : pid_t(parent.front());
}

// The forks of a program have one keeper.
pid_t first_of_tree(pid_t pid, pid_t keeper) {
  for (;;) {
    const pid_t parent = parent_of(pid);
    if (parent == 0 || keeper::keeper_of(parent) != keeper) return pid;
    pid = parent;
  }
}

// Left behind in the environment by the start of this very run.
bool is_of_this_run(const std::string& variable) {
  constexpr const char* kNames[] = {
      "UDPCR_CHANNEL=", "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES="};
  return std::any_of(std::begin(kNames), std::end(kNames), [&](const char* name) {
    return variable.compare(0, std::strlen(name), name) == 0;
  });
}

void read_environment(RunningProgram& program) {
  for (std::string& variable : strings_of(program.pid, "environ")) {
    // A program may have written its title over it.
    if (variable.find('=') == std::string::npos || variable.front() == '=') {
      if (!variable.empty()) {
        program.not_kept.emplace_back(
            "the environment, which the program has written over; what is left of it is used");
        break;
      }
    } else if (!is_of_this_run(variable)) {
      program.environment.push_back(std::move(variable));
    }
  }
}

// The name that it was executed by may lead to a newer file by now.
void find_file(RunningProgram& program) {
  const std::string executable = link_of(program.pid, "exe");
  std::string named = program.arguments.empty() ? "" : program.arguments.front();
  if (named.find('/') != std::string::npos && named.front() != '/') {
    named = program.folder + "/" + named;
  }
  const std::string found = named.empty() ? "" : find_program(named);
  const bool gone = access(executable.c_str(), F_OK) != 0;
  program.file = !found.empty() && (gone || same_file(found, executable)) ? found : executable;
}

bool is_served(pid_t pid) {
  const std::vector<std::string> environment = strings_of(pid, "environ");
  constexpr std::string_view kKeeper = "UDPCR_KEEPER=";
  return std::any_of(environment.begin(), environment.end(), [&](const std::string& variable) {
    return variable.size() > kKeeper.size() && variable.compare(0, kKeeper.size(), kKeeper) == 0;
  });
}

void read_user(RunningProgram& program) {
  const auto uids = status_numbers(program.model, "Uid");
  const auto gids = status_numbers(program.model, "Gid");
  const auto umask = status_numbers(program.model, "Umask", 8);
  const auto keeper_uids = status_numbers(program.keeper, "Uid");
  if (uids.size() < 3 || gids.size() < 3 || umask.size() != 1 || keeper_uids.size() < 3) {
    throw Error("process " + std::to_string(program.pid) + " or its keeper " +
                    std::to_string(program.keeper) + " has ended",
                ESRCH);
  }
  std::copy_n(uids.begin(), 3, program.uids);
  std::copy_n(gids.begin(), 3, program.gids);
  program.umask = mode_t(umask.front());
  program.keeper_uid = uid_t(keeper_uids[1]);
  for (const std::uint64_t group : status_numbers(program.model, "Groups")) {
    program.groups.push_back(gid_t(group));
  }
  const auto ambient = status_numbers(program.pid, "CapAmb", 16);
  if (!ambient.empty() && ambient.front() != 0) {
    program.not_kept.emplace_back("its ambient capabilities");
  }
}

void read_limits(RunningProgram& program) {
  for (int i = 0; i < RLIM_NLIMITS; ++i) {
    rlimit limit{};
    const auto resource = __rlimit_resource(i);
    if (prlimit(program.model, resource, nullptr, &limit) != 0) continue;
    rlimit own{};
    // A keeper has raised its own.
    if (resource == RLIMIT_NOFILE && prlimit(program.pid, resource, nullptr, &own) == 0) {
      limit.rlim_cur = std::min(own.rlim_cur, limit.rlim_max);
    }
    program.limits[i] = limit;
  }
}

// The file anew, as it was opened and where it was read or written.
UniqueFd open_again(pid_t pid, int fd) {
  std::ifstream info(process_path(pid, "fdinfo/" + std::to_string(fd)));
  off_t position = 0;
  int flags = O_RDWR;
  for (std::string word; info >> word;) {
    if (word == "pos:") info >> std::dec >> position;
    if (word == "flags:") info >> std::oct >> flags;
  }
  flags &= O_ACCMODE | O_APPEND | O_NONBLOCK;
  UniqueFd file(
      open(process_path(pid, "fd/" + std::to_string(fd)).c_str(), flags | O_NOCTTY | O_CLOEXEC));
  if (file) lseek(file.get(), position, SEEK_SET);
  return file;
}

// The open files themselves, where that is allowed (ptrace(2)).
void take_standard_fds(RunningProgram& program) {
  for (int fd = 0; fd < 3; ++fd) {
    program.standard[fd] = UniqueFd(int(syscall(SYS_pidfd_getfd, program.pidfd.get(), fd, 0)));
    if (program.standard[fd] || errno == EBADF) continue;
    const int problem = errno;
    program.standard[fd] = open_again(program.pid, fd);
    if (program.standard[fd]) continue;
    program.not_kept.push_back("its " + std::string(kStandardNames[fd]) + " (" +
                               std::strerror(problem) + "); it is /dev/null now");
  }
}

// One that we could not start in its place.
void check_surroundings(const RunningProgram& program) {
  for (const char* const kind : {"ns/mnt", "ns/user", "ns/pid"}) {
    // The program may have left its own since.
    std::string theirs = link_of(program.model, kind);
    if (theirs.empty()) theirs = link_of(program.pid, kind);
    if (theirs.empty() || theirs == link_of(0, kind)) continue;
    throw Error("process " + std::to_string(program.pid) + " runs in other namespaces (" + kind +
                " is " + theirs + "): call `udpcr restart` in there (nsenter -t " +
                std::to_string(program.pid) + " -a)");
  }
}

// A script stands behind its interpreter.
bool runs(pid_t pid, const std::string& file, const std::vector<std::string>& arguments) {
  const std::vector<std::string> running = strings_of(pid, "cmdline");
  if (running.size() <= arguments.size() ||
      !std::equal(arguments.rbegin(), arguments.rend(), running.rbegin())) {
    return false;
  }
  const std::size_t before = running.size() - arguments.size();
  if (before == 1) return same_file(process_path(pid, "exe"), file) || link_of(pid, "exe") == file;
  return before <= 3 && (running[before - 1] == file || same_file(running[before - 1], file));
}

}  // namespace

RunningProgram look_at_program(pid_t pid) {
  keeper::connect_control(pid);  // says what is wrong
  RunningProgram program;
  program.keeper = keeper::keeper_of(pid);
  if (program.keeper == 0) {
    throw Error(
        "the keeper of process " + std::to_string(pid) +
        " is in a process namespace that is not seen from here; call `udpcr restart` there");
  }
  program.pid = first_of_tree(pid, program.keeper);
  program.model = is_served(program.pid) ? program.pid : program.keeper;
  read_user(program);
  if (geteuid() != 0 && geteuid() != program.uids[1]) {
    throw Error("process " + std::to_string(program.pid) + " was started by user " +
                    std::to_string(program.uids[1]) + "; only root and its own user may ask",
                EPERM);
  }
  program.pidfd = UniqueFd(int(syscall(SYS_pidfd_open, program.pid, 0)));
  program.arguments = strings_of(program.pid, "cmdline");
  program.folder = link_of(program.pid, "cwd");
  if (!program.pidfd || program.arguments.empty() || program.folder.empty()) {
    throw Error("process " + std::to_string(program.pid) +
                " cannot be looked at: it has ended, or is not this user's any more; root may");
  }
  check_surroundings(program);
  read_environment(program);
  find_file(program);
  read_limits(program);
  take_standard_fds(program);
  return program;
}

std::vector<pid_t> find_running(const std::string& file, const std::vector<std::string>& arguments,
                                const std::optional<std::string>& image) {
  std::set<pid_t> found;
  for (const pid_t pid : all_processes()) {
    if (!runs(pid, file, arguments)) continue;
    if (image) {
      const std::vector<std::string> theirs = strings_of(pid, "environ");
      if (std::find(theirs.begin(), theirs.end(), "UDPCR_IMAGE=" + *image) == theirs.end())
        continue;
    }
    const pid_t keeper = keeper::keeper_of(pid);
    if (keeper == 0) continue;
    const auto uids = status_numbers(is_served(pid) ? pid : keeper, "Uid");
    if (uids.size() > 1 && uids[1] == geteuid()) found.insert(first_of_tree(pid, keeper));
  }
  return {found.begin(), found.end()};
}

void assume(const RunningProgram& program) {
  const auto fails = [](const std::string& what) {
    return Error(what + ": " + std::strerror(errno), errno);
  };
  setsid();
  for (int i = 0; i < RLIM_NLIMITS; ++i) {
    // What this user may not raise stays as it is here.
    if (program.limits[i]) setrlimit(__rlimit_resource(i), &*program.limits[i]);
  }
  if (geteuid() == 0) {
    if (setgroups(program.groups.size(), program.groups.data()) != 0) throw fails("setgroups");
    if (setresgid(program.gids[0], program.gids[1], program.gids[2]) != 0) throw fails("setresgid");
    if (setresuid(program.uids[0], program.uids[1], program.uids[2]) != 0) throw fails("setresuid");
  }
  if (chdir(program.folder.c_str()) != 0) throw fails("folder " + program.folder);
  umask(program.umask);
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);

  clearenv();
  for (const std::string& variable : program.environment) {
    const std::size_t equals = variable.find('=');
    setenv(variable.substr(0, equals).c_str(), variable.c_str() + equals + 1, 1);
  }
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd = 0; fd < 3; ++fd) {
    const UniqueFd& own = program.standard[fd];
    if (dup2(own ? own.get() : null.get(), fd) < 0) throw fails(kStandardNames[fd]);
  }
}

}  // namespace udpcr
