// SPDX-License-Identifier: LGPL-2.1-or-later
#include "folder.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "keeper/monitor/client.hpp"
#include "temporary_file.hpp"

namespace udpcr::keeper {

namespace {
constexpr int kLockPollMs = 10;
}  // namespace

ImageFolder::ImageFolder(const std::string& path) : path_(path) {
  const std::size_t slash = path.rfind('/');
  folder_ = slash == 0 ? "/" : path.substr(0, slash);
  name_ = path.substr(slash + 1);
  open_folder();
}

ImageFolder::ImageFolder(const std::string& path, const UniqueFd& folder)
    : path_(path), folder_(path.substr(0, path.rfind('/') + 1)), by_path_(false) {
  name_ = path.substr(folder_.size());
  if (folder) fd_ = UniqueFd(openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

void ImageFolder::open_folder() const {
  if (!by_path_) {
    errno = ENOENT;
    return;
  }
  fd_ = UniqueFd(open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // It may be another user's.
  monitor::Client* const others = monitor::client();
  if (!fd_ && errno == EACCES && others != nullptr) fd_ = others->folder();
}

int ImageFolder::fd() const {
  if (!fd_) open_folder();
  if (!fd_) {
    throw Error("image " + path_ + ": folder " + folder_ +
                    " cannot be opened: " + std::strerror(errno) +
                    (by_path_ ? "; make it, or name another with UDPCR_IMAGE"
                              : "; make it before the program starts under a keeper service, "
                                "which must be able to read it as the program's user"),
                errno);
  }
  return fd_.get();
}

void ImageFolder::await_completion(int patience_ms) const {
  for (int waited = 0;; waited += kLockPollMs) {
    const UniqueFd file(rights().open_file(fd(), name_.c_str(), O_RDONLY | O_NONBLOCK));
    struct stat opened {};
    struct stat named {};
    if (!file || flock(file.get(), LOCK_SH | LOCK_NB) == 0) {
      // The file that we hold may have been replaced while we waited.
      if (!file || fstat(file.get(), &opened) != 0 ||
          fstatat(fd(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 ||
          (opened.st_dev == named.st_dev && opened.st_ino == named.st_ino)) {
        return;
      }
    } else if (waited >= patience_ms) {
      throw Error("image " + path_ + " is still being completed after " +
                  std::to_string(patience_ms / 1000) +
                  " s: the program that it was taken of has not ended; end it first");
    } else {
      poll(nullptr, 0, kLockPollMs);
    }
  }
}

void ImageFolder::clean() const noexcept {
  if (!fd_) open_folder();
  if (fd_) remove_stale_temporaries(fd_.get(), name_);
}

void ImageFolder::set_aside() const {
  const std::string aside = name_ + ".restored";
  if (rights().rename_file(fd(), name_.c_str(), aside.c_str()) != 0) {
    throw Error("image " + path_ + " cannot be renamed to " + aside + ": " + std::strerror(errno) +
                    "; remove it by hand, or the next start restores it once more",
                errno);
  }
}

}  // namespace udpcr::keeper
