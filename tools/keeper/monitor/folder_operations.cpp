// SPDX-License-Identifier: LGPL-2.1-or-later
#include "folder_operations.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "temporary_file.hpp"

namespace udpcr::keeper::monitor {

namespace {

Result failure(int error) { return {error, 0, 0, {}}; }

// Texts, each with its NUL; empty: that is not what it holds.
std::vector<std::string> texts_of(ByteView payload, std::size_t count) {
  std::vector<std::string> texts;
  while (!payload.empty()) {
    const void* const end = std::memchr(payload.data(), 0, payload.size());
    if (end == nullptr) return {};
    const auto size = std::size_t(static_cast<const std::uint8_t*>(end) - payload.data());
    texts.emplace_back(reinterpret_cast<const char*>(payload.data()), size);
    payload = payload.subspan(size + 1);
  }
  return texts.size() == count ? texts : std::vector<std::string>();
}

}  // namespace

Result FolderOperations::setup(const Asked& asked) {
  const std::vector<std::string> texts = texts_of(asked.payload, 2);
  const bool sound = texts.size() == 2 && !texts[1].empty() && texts[1] != "." &&
                     texts[1] != ".." && texts[1].find('/') == std::string::npos;
  if (!name_.empty() || !sound) return failure(EPERM);
  path_ = texts[0];
  name_ = texts[1];
  short_name_ = temporary_stem(name_);
  return {};
}

std::string FolderOperations::image() const {
  return path_ + (path_.ends_with('/') ? "" : "/") + name_;
}

// It may have come after the program's start.
bool FolderOperations::open_folder() {
  if (folder_) return true;
  if (name_.empty() || path_.empty()) {
    errno = EPERM;
    return false;
  }
  folder_ = UniqueFd(open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return bool(folder_);
}

// The image, what it is called when it has been restored, earlier ones, and what is
// being written.
bool FolderOperations::is_ours(const std::string& name) const {
  if (name.empty() || name.find('/') != std::string::npos) return false;
  if (name == name_ || name.starts_with(name_ + ".")) return true;
  return name.front() == '.' && name.ends_with(".tmp") &&
         (name.starts_with(".udpcr-") || name.starts_with("." + short_name_ + "."));
}

Result FolderOperations::serve(const Asked& asked) {
  if (!open_folder()) return failure(errno);
  if (asked.request.operation == Operation::folder) {
    const int fd = openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failure(errno);
    return {0, 0, 0, UniqueFd(fd)};
  }
  const bool rename = asked.request.operation == Operation::rename_file;
  const std::vector<std::string> names = texts_of(asked.payload, rename ? 2 : 1);
  if (names.empty() || !is_ours(names.front()) || !is_ours(names.back())) return failure(EPERM);
  const char* const name = names.front().c_str();
  int result = -1;
  switch (asked.request.operation) {
    case Operation::open_file: {
      constexpr int kFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NONBLOCK;
      const int wanted = asked.request.number[0] & kFlags;
      // Nothing that stands there is written to.
      if ((wanted & O_ACCMODE) != O_RDONLY && (wanted & O_EXCL) == 0) return failure(EPERM);
      result = openat(folder_.get(), name, wanted | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
      if (result < 0) return failure(errno);
      UniqueFd file(result);
      struct stat status {};
      if (fstat(result, &status) != 0 || !S_ISREG(status.st_mode)) return failure(ENXIO);
      return {0, 0, 0, std::move(file)};
    }
    case Operation::rename_file:
      result = renameat(folder_.get(), name, folder_.get(), names.back().c_str());
      break;
    case Operation::unlink_file:
      result = unlinkat(folder_.get(), name, 0);
      break;
    default:
      return failure(EPERM);
  }
  return result == 0 ? Result{} : failure(errno);
}

}  // namespace udpcr::keeper::monitor
