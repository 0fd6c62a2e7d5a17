// SPDX-License-Identifier: LGPL-2.1-or-later
#include "program_file.hpp"

#include <unistd.h>

#include <cstdlib>

namespace udpcr {

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), F_OK) == 0 ? name : "";
  const char* path = std::getenv("PATH");
  std::string folders = path == nullptr ? "/bin:/usr/bin" : path;
  folders += ':';
  std::string found;
  for (std::size_t start = 0; start < folders.size();) {
    const std::size_t end = folders.find(':', start);
    const std::string folder = folders.substr(start, end - start);
    std::string file = (folder.empty() ? "." : folder) + "/" + name;
    if (access(file.c_str(), X_OK) == 0 && !std::filesystem::is_directory(file)) return file;
    if (found.empty() && access(file.c_str(), F_OK) == 0) found = file;
    start = end + 1;
  }
  return found;
}

std::string find_shim() {
  std::error_code error;
  const std::filesystem::path tool = std::filesystem::read_symlink("/proc/self/exe", error);
  for (const std::filesystem::path& candidate :
       {tool.parent_path() / "../lib/libudpcr_shim.so",
        std::filesystem::path(UDPCR_LIBDIR "/libudpcr_shim.so")}) {
    const std::filesystem::path shim = std::filesystem::canonical(candidate, error);
    if (!error) return shim;
  }
  return {};
}

}  // namespace udpcr
