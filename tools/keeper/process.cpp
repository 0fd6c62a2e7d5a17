// SPDX-License-Identifier: LGPL-2.1-or-later
#include "process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>

#include "keeper/monitor/client.hpp"

namespace udpcr::keeper {

bool Process::ended() const {
  if (!pidfd) return true;
  pollfd exit{pidfd.get(), POLLIN, 0};
  return poll(&exit, 1, 0) == 1;
}

bool Process::has_left() const {
  pollfd end{channel.get(), 0, 0};
  return channel_ended || (poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0);
}

// It closes its fds on its way out, and is a zombie later.
bool is_running(pid_t pid) {
  constexpr unsigned long kExiting = 0x4;  // PF_EXITING of include/linux/sched.h, Linux 6.1
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  // Behind the name, which may hold anything: state, ppid, pgrp, session, tty,
  // tpgid, flags (proc_pid_stat(5)).
  const std::size_t end = text.rfind(')');
  if (end == std::string::npos) return false;
  std::istringstream fields(text.substr(end + 1));
  std::string field;
  for (int i = 0; i < 6; ++i) fields >> field;
  unsigned long flags = kExiting;
  fields >> flags;
  return (flags & kExiting) == 0;
}

bool Process::has_executed() const { return !ended() && is_running(pid) && !ended(); }

pid_t channel_owner(int channel) {
  ucred owner{};
  socklen_t size = sizeof owner;
  if (getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &owner, &size) != 0) return 0;
  return owner.pid;
}

std::vector<pid_t> threads_of(pid_t pid) {
  std::vector<pid_t> threads;
  const std::string path = "/proc/" + std::to_string(pid) + "/task";
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (!folder) return threads;
  while (const dirent* entry = readdir(folder.get())) {
    pid_t thread = 0;
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, thread).ptr == end) threads.push_back(thread);
  }
  return threads;
}

namespace {

// What stands behind `name` in a status file; `absent` when there is no such
// file, 0 when it has no such line.
std::uint64_t status_number(const std::string& path, const char* name, int base,
                            std::uint64_t absent) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t size = file ? read(file.get(), text, sizeof text - 1) : -1;
  if (size <= 0) return absent;
  text[size] = '\0';
  const std::string start = std::string("\n") + name + ":\t";
  const char* const line = std::strstr(text, start.c_str());
  return line == nullptr ? 0 : std::strtoull(line + start.size(), nullptr, base);
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
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (!folder && errno != ENOENT) return std::nullopt;
  std::set<std::uint64_t> inodes;
  while (const dirent* entry = folder ? readdir(folder.get()) : nullptr) {
    constexpr std::string_view kSocket = "socket:[";
    char target[64];
    const ssize_t size = readlinkat(dirfd(folder.get()), entry->d_name, target, sizeof target);
    std::uint64_t inode = 0;
    if (size < 0 || !std::string_view(target, std::size_t(size)).starts_with(kSocket)) continue;
    std::from_chars(target + kSocket.size(), target + size, inode);
    inodes.insert(inode);
  }
  return inodes;
}

bool has_port(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  // The port has the same place in both families.
  return getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0 &&
         reinterpret_cast<const sockaddr_in&>(name).sin_port != 0;
}

std::uint32_t fd_table_size(pid_t pid) {
  return std::uint32_t(status_number("/proc/" + std::to_string(pid) + "/status", "FDSize", 10, 0));
}

std::uint64_t permitted_capabilities(pid_t pid) {
  return status_number("/proc/" + std::to_string(pid) + "/status", "CapPrm", 16, 0);
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

pid_t parent_of(pid_t pid) {
  return pid_t(status_number("/proc/" + std::to_string(pid) + "/status", "PPid", 10, 0));
}

unsigned threads_not_blocking(pid_t pid, const std::vector<pid_t>& threads, int signal) {
  unsigned count = 0;
  for (const pid_t thread : threads) {
    if ((blocked_signals(pid, thread) >> (signal - 1) & 1) == 0) ++count;
  }
  return count;
}

int signal_thread(pid_t pid, pid_t thread, int signal, std::uint32_t epoch, std::uint32_t magic) {
  const std::uint64_t value = std::uint64_t{magic} << 32 | epoch;
  if (const auto error = signal_by_monitor(pid, thread, signal, value)) return *error;
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  std::memcpy(&info.si_value, &value, sizeof value);
  return syscall(SYS_rt_tgsigqueueinfo, pid, thread, signal, &info) == 0 ? 0 : errno;
}

}  // namespace udpcr::keeper
