// SPDX-License-Identifier: LGPL-2.1-or-later
#include "process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>
#include <string_view>
#include <thread>

#include "persist.hpp"
#include "text_file.hpp"

#include "keeper/monitor/client.hpp"

namespace udpcr::keeper {

bool Process::ended() const {
  if (!pidfd) return true;
  pollfd exit{pidfd.get(), POLLIN, 0};
  return persist([&] { return poll(&exit, 1, 0); }) == 1;
}

bool Process::has_left() const {
  pollfd end{channel.get(), 0, 0};
  return channel_ended ||
         (persist([&] { return poll(&end, 1, 0); }) == 1 && (end.revents & POLLHUP) != 0);
}

namespace {

// Number `number` of proc_pid_stat(5), from 3 on: those behind the name, which may
// hold anything.  Empty: there is no such process.
std::string stat_field(pid_t pid, int number) {
  const std::string text = read_text("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t end = text.rfind(')');
  if (end == std::string::npos) return {};
  std::istringstream fields(text.substr(end + 1));
  std::string field;
  for (int i = 2; i < number; ++i) fields >> field;
  return field;
}

}  // namespace

// It closes its fds on its way out, and is a zombie later.
bool is_running(pid_t pid) {
  constexpr unsigned long kExiting = 0x4;  // PF_EXITING of include/linux/sched.h, Linux 6.1
  constexpr int kFlags = 9;
  const std::string flags = stat_field(pid, kFlags);
  return !flags.empty() && (std::strtoul(flags.c_str(), nullptr, 10) & kExiting) == 0;
}

pid_t parent_of(pid_t pid) {
  constexpr int kParent = 4;
  return pid_t(std::atoi(stat_field(pid, kParent).c_str()));
}

bool Process::has_executed() const {
  if (ended()) return false;
  bool running = false;
  try {
    running = is_running(pid);
  } catch (const Error&) {
    // A process that has ended shows it soon.
    return !ends_within(pidfd.get(), std::chrono::milliseconds(100));
  }
  return running && !ended();
}

bool ends_within(int pidfd, std::chrono::milliseconds patience) {
  using namespace std::chrono;
  if (pidfd < 0) return true;
  const auto deadline = steady_clock::now() + patience;
  for (;;) {
    const auto left = duration_cast<milliseconds>(deadline - steady_clock::now());
    pollfd exit{pidfd, POLLIN, 0};
    const int result = persist([&] { return poll(&exit, 1, int(std::max(left, 0ms).count())); });
    if (result == 1) return true;
    if (left.count() <= 0) return false;
    if (result < 0) std::this_thread::sleep_for(5ms);
  }
}

bool Process::may_be_signalled() const {
  if (unanswered || ended()) return false;
  if (uid == 0) return true;
  const Rights now = Rights::of(pid);
  // Without /proc the kernel decides, by our own user.
  return now.known ? now.real == uid || now.saved == uid : geteuid() != 0;
}

namespace {

Process process_of(UniqueFd channel, Sender& sender, bool with_pidfd) {
  Process process;
  process.pid = sender.pid;
  process.uid = sender.uid;
  process.pidfd = with_pidfd || sender.pidfd ? std::move(sender.pidfd) : pidfd_of(sender.pid);
  // An ended process has none; one that lives would be taken for it.
  if (!process.pidfd && is_running(process.pid)) {
    throw Error(
        "process " + std::to_string(process.pid) +
        " cannot be watched (no pidfd: RLIMIT_NOFILE, or no memory); its sockets are not kept");
  }
  process.channel = std::move(channel);
  return process;
}

}  // namespace

Process first_process(UniqueFd channel, Packet& start) {
  const bool with_pidfd = tell_senders(channel.get(), false);
  if (start.sender.pid <= 0) {
    throw Error(
        "the keeper is not told which process has started it: install shim and tool from the same "
        "release");
  }
  Process process = process_of(std::move(channel), start.sender, with_pidfd);
  // Nobody but who has started us has the other end: as long as that is open, the
  // number is its.  One that has ended, as a daemon's parent does, is never signalled;
  // its children join by its channel.
  if (!with_pidfd && process.has_left()) process.pidfd.reset();
  return process;
}

Process child_process(UniqueFd channel) {
  if (!is_nameless_pair(channel.get())) {
    throw Error("what is passed as a child's channel is no end of a socket pair");
  }
  const bool with_pidfd = tell_senders(channel.get(), true);
  Packet first;
  if (receive_packet(channel.get(), first) != Received::packet ||
      first.type() != wire::Type::joined || first.sender.pid <= 0) {
    throw Error("a channel is passed at which no child has said who it is");
  }
  Process process = process_of(std::move(channel), first.sender, with_pidfd);
  if (with_pidfd || !process.pidfd) {
    tell_senders(process.channel.get(), false);
    return process;
  }
  process.unanswered.emplace();
  const wire::IdentifyMessage question = process.unanswered->question();
  send_packet(process.channel.get(), &question, sizeof question, {}, 0);
  return process;
}

void settle(Process& process, const Packet& packet) {
  if (!process.unanswered || packet.sender.pid != process.pid ||
      !process.unanswered->is_answered_by(packet.as<wire::IdentifyMessage>())) {
    throw Error(
        "it does not show that it is who has joined; it is not taken for one of the "
        "program's processes");
  }
  // It has ended since: nothing is to be done to it, nor to be said of it.
  if (process.ended()) return;
  process.unanswered.reset();
  tell_senders(process.channel.get(), false);
}

namespace {

using Folder = std::unique_ptr<DIR, int (*)(DIR*)>;

Folder open_folder(const std::string& path) {
  Folder folder(opendir(path.c_str()), closedir);
  for (int attempt = 0; !folder && is_passing(errno) && attempt < 4; ++attempt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1 << attempt));
    folder.reset(opendir(path.c_str()));
  }
  return folder;
}

}  // namespace

std::vector<pid_t> threads_of(pid_t pid) {
  std::vector<pid_t> threads;
  const std::string path = "/proc/" + std::to_string(pid) + "/task";
  const Folder folder = open_folder(path);
  const auto tells_nothing = [](int error) {
    return error != ENOENT && error != ESRCH && error != EACCES && error != EPERM;
  };
  const auto give_up = [&path](int error) {
    throw Error("cannot read " + path + ": " + std::strerror(error), error);
  };
  if (!folder && tells_nothing(errno)) give_up(errno);
  if (!folder) return threads;
  for (;;) {
    errno = 0;
    const dirent* const entry = readdir(folder.get());
    if (entry == nullptr && errno != 0 && tells_nothing(errno)) give_up(errno);
    if (entry == nullptr) return threads;
    pid_t thread = 0;
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, thread).ptr == end) threads.push_back(thread);
  }
}

namespace {

// What stands behind `name` in a status file; `absent` when there is no such
// file, 0 when it has no such line.
std::uint64_t status_number(const std::string& path, const char* name, int base,
                            std::uint64_t absent) {
  const std::string text = read_text(path);
  if (text.empty()) return absent;
  const std::string start = std::string("\n") + name + ":\t";
  const std::size_t line = text.find(start);
  return line == std::string::npos
             ? 0
             : std::strtoull(text.c_str() + line + start.size(), nullptr, base);
}

// All ones when the thread has ended.
std::uint64_t blocked_signals(pid_t pid, pid_t thread) {
  return status_number(
      "/proc/" + std::to_string(pid) + "/task/" + std::to_string(thread) + "/status", "SigBlk", 16,
      ~std::uint64_t{0});
}

}  // namespace

std::optional<std::set<std::uint64_t>> open_sockets(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fd";
  const Folder folder = open_folder(path);
  if (!folder && errno != ENOENT) return std::nullopt;
  std::set<std::uint64_t> inodes;
  for (;;) {
    errno = 0;
    const dirent* const entry = folder ? readdir(folder.get()) : nullptr;
    if (entry == nullptr && errno != 0 && errno != ENOENT) return std::nullopt;
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    constexpr std::string_view kSocket = "socket:[";
    char target[64];
    const ssize_t size = persist(
        [&] { return readlinkat(dirfd(folder.get()), entry->d_name, target, sizeof target); });
    // It has been closed meanwhile.
    if (size < 0 && errno == ENOENT) continue;
    if (size < 0) return std::nullopt;
    std::uint64_t inode = 0;
    if (!std::string_view(target, std::size_t(size)).starts_with(kSocket)) continue;
    std::from_chars(target + kSocket.size(), target + size, inode);
    inodes.insert(inode);
  }
  return inodes;
}

namespace {

// The fds of a process that are sockets.  False: it may not be looked at.
bool sockets_of(pid_t pid, std::vector<int>& fds) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(
      opendir(("/proc/" + std::to_string(pid) + "/fd").c_str()), closedir);
  if (!folder) return false;
  for (;;) {
    errno = 0;
    const dirent* const entry = readdir(folder.get());
    if (entry == nullptr && errno != 0) return false;
    if (entry == nullptr) break;
    int fd = 0;
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, fd).ptr != end) continue;
    char target[8] = {};
    if (readlinkat(dirfd(folder.get()), entry->d_name, target, sizeof target - 1) < 0) {
      if (errno == ENOENT) continue;
      return false;
    }
    if (std::strncmp(target, "socket:", sizeof target - 1) == 0) fds.push_back(fd);
  }
  std::sort(fds.begin(), fds.end());
  return true;
}

UniqueFd take_fd(int pidfd, int fd) {
  return UniqueFd(int(syscall(SYS_pidfd_getfd, pidfd, fd, 0)));
}

}  // namespace

bool look_for_udp(pid_t pid, int pidfd, bool& has_udp) {
  std::vector<int> fds;
  if (!sockets_of(pid, fds)) return false;
  has_udp = std::any_of(fds.begin(), fds.end(), [pidfd](int fd) {
    const UniqueFd taken = take_fd(pidfd, fd);
    try {
      return !taken || is_udp_socket(taken.get());
    } catch (const Error&) {
      return true;
    }
  });
  return true;
}

bool has_port(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  const auto ask = [&] { return getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size); };
  if (persist(ask) != 0) {
    throw Error("cannot read the address of a socket: " + std::string(std::strerror(errno)), errno);
  }
  // The port has the same place in both families.
  return reinterpret_cast<const sockaddr_in&>(name).sin_port != 0;
}

std::uint64_t inode_of(int fd) {
  struct stat status {};
  if (persist([&] { return fstat(fd, &status); }) != 0) {
    throw Error("cannot read the inode of a socket: " + std::string(std::strerror(errno)), errno);
  }
  return status.st_ino;
}

std::uint32_t fd_table_size(pid_t pid) {
  return std::uint32_t(status_number("/proc/" + std::to_string(pid) + "/status", "FDSize", 10, 0));
}

namespace {

// Empty: there is no monitor, or none any more, and we have our own rights alone.
std::optional<int> signal_by_monitor(pid_t pid, pid_t thread, int signal, std::uint64_t value) {
  monitor::Client* const others = monitor::client();
  if (others == nullptr || !others->serves()) return std::nullopt;
  const int error = others->signal(pid, thread, signal, value);
  if (!others->serves()) return std::nullopt;
  return error;
}

}  // namespace

int signal_process(pid_t pid, int pidfd, int signal) {
  if (const auto error = signal_by_monitor(pid, 0, signal, 0)) return *error;
  return syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0 ? 0 : errno;
}

std::optional<std::set<std::uint64_t>> sockets_of_program(pid_t pid) {
  auto found = open_sockets(pid);
  monitor::Client* const others = monitor::client();
  return found || others == nullptr ? found : others->sockets(pid);
}

unsigned threads_not_blocking(pid_t pid, const std::vector<pid_t>& threads, int signal) {
  unsigned count = 0;
  for (const pid_t thread : threads) {
    if ((blocked_signals(pid, thread) >> (signal - 1) & 1) == 0) ++count;
  }
  return count;
}

int signal_thread(const Process& process, pid_t thread, int signal, std::uint32_t epoch,
                  std::uint32_t magic) {
  const std::uint64_t value = std::uint64_t{magic} << 32 | epoch;
  if (process.ended()) return ESRCH;
  if (const auto error = signal_by_monitor(process.pid, thread, signal, value)) return *error;
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  std::memcpy(&info.si_value, &value, sizeof value);
  return syscall(SYS_rt_tgsigqueueinfo, process.pid, thread, signal, &info) == 0 ? 0 : errno;
}

}  // namespace udpcr::keeper
