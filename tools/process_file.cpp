// SPDX-License-Identifier: LGPL-2.1-or-later
#include "process_file.hpp"

#include <dirent.h>
#include <limits.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

namespace udpcr {

std::string process_path(pid_t pid, const std::string& name) {
  return "/proc/" + (pid == 0 ? "self" : std::to_string(pid)) + "/" + name;
}

std::vector<std::uint64_t> status_numbers(pid_t pid, const std::string& field, int base) {
  std::ifstream file(process_path(pid, "status"));
  std::vector<std::uint64_t> numbers;
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, field.size() + 1, field + ":") != 0) continue;
    std::istringstream words(line.substr(field.size() + 1));
    for (std::string word; words >> word;) {
      std::uint64_t number = 0;
      if (std::from_chars(word.data(), word.data() + word.size(), number, base).ec == std::errc{}) {
        numbers.push_back(number);
      }
    }
    break;
  }
  return numbers;
}

std::vector<std::string> strings_of(pid_t pid, const std::string& name) {
  std::ifstream file(process_path(pid, name), std::ios::binary);
  std::vector<std::string> strings;
  for (std::string text; std::getline(file, text, '\0');) strings.push_back(text);
  return strings;
}

std::string link_of(pid_t pid, const std::string& name) {
  char target[PATH_MAX] = "";
  const ssize_t size = readlink(process_path(pid, name).c_str(), target, sizeof target);
  std::string path(target, size <= 0 ? 0 : std::size_t(size));
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.size() > kDeleted.size() && access(path.c_str(), F_OK) != 0 &&
      path.compare(path.size() - kDeleted.size(), kDeleted.size(), kDeleted) == 0) {
    path.resize(path.size() - kDeleted.size());
  }
  return path;
}

std::string name_of(pid_t pid) {
  std::ifstream file(process_path(pid, "comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> all;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc"), closedir);
  if (!folder) return all;
  while (const dirent* entry = readdir(folder.get())) {
    pid_t pid = 0;
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, pid).ptr == end) all.push_back(pid);
  }
  return all;
}

}  // namespace udpcr
