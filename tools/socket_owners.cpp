// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_owners.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>

namespace udpcr {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

std::string process_path(pid_t pid, const char* what) {
  return "/proc/" + std::to_string(pid) + "/" + what;
}

// The numbers that are names in a folder of /proc, in order.
std::vector<int> numbers_in(DIR* folder) {
  std::vector<int> numbers;
  while (const dirent* entry = readdir(folder)) {
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    int number = 0;
    if (std::from_chars(entry->d_name, end, number).ptr == end) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

bool is_cloexec(pid_t pid, int fd) {
  std::ifstream file(process_path(pid, "fdinfo/") + std::to_string(fd));
  std::string word;
  unsigned flags = 0;
  while (file >> word) {
    if (word == "flags:" && file >> std::oct >> flags) return (flags & O_CLOEXEC) != 0;
  }
  return false;
}

}  // namespace

SocketOwners::SocketOwners() {
  const Folder proc(opendir("/proc"));
  if (!proc) {
    complete_ = false;
    return;
  }
  for (const int pid : numbers_in(proc.get())) look_at(pid);
}

void SocketOwners::look_at(pid_t pid) {
  const std::string path = process_path(pid, "fd");
  const Folder folder(opendir(path.c_str()));
  if (!folder) {
    // It has ended meanwhile; anything else hides its sockets.
    if (errno != ENOENT && errno != ESRCH) complete_ = false;
    return;
  }
  for (const int fd : numbers_in(folder.get())) {
    char target[64] = "";
    const std::string link = path + "/" + std::to_string(fd);
    const ssize_t size = readlink(link.c_str(), target, sizeof target - 1);
    unsigned long long inode = 0;
    if (size < 0 && errno != ENOENT && errno != ESRCH) complete_ = false;
    if (size < 0 || std::sscanf(target, "socket:[%llu]", &inode) != 1) continue;
    owners_[inode].push_back({pid, fd, is_cloexec(pid, fd)});
  }
}

const std::vector<SocketOwner>& SocketOwners::of(std::uint64_t inode) const {
  static const std::vector<SocketOwner> kNobody;
  const auto found = owners_.find(inode);
  return found == owners_.end() ? kNobody : found->second;
}

std::string executable_of(pid_t pid) {
  char target[4096] = "";
  const ssize_t size = readlink(process_path(pid, "exe").c_str(), target, sizeof target);
  return size <= 0 ? "" : std::string(target, std::size_t(size));
}

std::vector<std::string> arguments_of(pid_t pid) {
  std::ifstream file(process_path(pid, "cmdline"), std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

}  // namespace udpcr
