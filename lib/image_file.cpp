// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Writing an image whole or not at all.
#include "image_file.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <udpcr/image.hpp>

#include "rights.hpp"
#include "temporary_file.hpp"

namespace udpcr {
namespace {

std::string remedy(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "free some space there or let UDPCR_IMAGE name a place with more";
    case ENOENT:
    case ENOTDIR:
      return "create its folder or let UDPCR_IMAGE name one that exists";
    case EACCES:
    case EPERM:
      return "make the folder and the file accessible to uid " + std::to_string(geteuid()) +
             " or let UDPCR_IMAGE name others";
    case EROFS:
      return "let UDPCR_IMAGE name a place on a writable file system";
    case EISDIR:
      return "move the folder of that name away or let UDPCR_IMAGE name a file";
    case EFBIG:
      return "raise the file size limit (ulimit -f) or checkpoint without queues "
             "(UDPCR_QUEUES=none)";
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files (ulimit -n)";
    case ENAMETOOLONG:
      return "let UDPCR_IMAGE name a shorter one";
    case ENOMEM:
      return "free some memory";
    case EIO:
      return "check the disk";
    default:
      return "let UDPCR_IMAGE name another place";
  }
}

// A write beyond RLIMIT_FSIZE would send SIGXFSZ to the caller.
bool beyond_size_limit(std::uint64_t bytes) noexcept {
  rlimit limit{};
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
         bytes > limit.rlim_cur;
}

int write_all(int fd, ByteView content) noexcept {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    content = content.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

// The descriptor may be O_PATH, which fsync(2) refuses, and its folder one
// that may be written but not read; then all of its file system is synced.
int sync_folder(int folder, int file) noexcept {
  if (fsync(folder) == 0 || errno == EINVAL) return 0;  // EINVAL: it has nothing to sync
  if (errno != EBADF) return errno;
  const UniqueFd readable(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (readable) return fsync(readable.get()) == 0 || errno == EINVAL ? 0 : errno;
  return syncfs(file) == 0 ? 0 : errno;
}

}  // namespace

void throw_image_error(const char* operation, const std::string& display, int error_number) {
  throw Error(std::string("cannot ") + operation + " image " + display + ": " +
                  std::strerror(error_number) + "; " + remedy(error_number),
              error_number);
}

void check_image_name(const std::string& name, const std::string& display) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    throw Error("cannot use image " + display + ": \"" + name +
                    "\" is no file name; let UDPCR_IMAGE name a file in a folder",
                EINVAL);
  }
}

ImageFile::ImageFile(int folder, std::string name, std::string display)
    : folder_(folder), name_(std::move(name)), display_(std::move(display)) {
  check_image_name(name_, display_);
}

ImageFile::~ImageFile() { discard(); }

void ImageFile::discard() noexcept {
  // While it is locked: the name may be another writer's afterwards.
  if (!temporary_.empty()) rights().unlink_file(folder_, temporary_.c_str());
  temporary_.clear();
  reserved_.reset();
}

void ImageFile::fail(const char* operation, int error_number) {
  discard();
  throw_image_error(operation, display_, error_number);
}

void ImageFile::create() {
  if (reserved_) return;
  take(make_temporary(folder_, name_));
}

void ImageFile::take(TemporaryFile file) {
  if (!file.fd) fail("create a temporary file for", errno);
  reserved_ = std::move(file.fd);
  temporary_ = std::move(file.name);
  // Whatever the umask took away.
  if (fchmod(reserved_.get(), 0600) != 0) fail("set the mode of", errno);
}

void ImageFile::reserve(std::uint64_t bytes) {
  create();
  if (bytes == 0) return;
  if (beyond_size_limit(bytes)) fail("reserve space for", EFBIG);
  if (bytes > static_cast<std::uint64_t>(INT64_MAX)) fail("reserve space for", EFBIG);
  int error = 0;
  do {
    // Writes zeros where the file system has no fallocate(2).
    error = posix_fallocate(reserved_.get(), 0, static_cast<off_t>(bytes));
  } while (error == EINTR);
  if (error != 0) fail("reserve space for", error);
}

// Where it cannot have one (a file system without links), it is written once
// more, into a file that has a name from the beginning.
void ImageFile::name_it(ByteView content) {
  TemporaryFile file{std::move(reserved_), {}};
  const bool named = name_temporary(folder_, name_, file);
  reserved_ = std::move(file.fd);
  temporary_ = std::move(file.name);
  if (named) return;
  reserved_.reset();
  take(make_named_temporary(folder_, name_));
  fill(content);
}

void ImageFile::fill(ByteView content) {
  const int fd = reserved_.get();
  if (const int error = write_all(fd, content); error != 0) fail("write", error);
  if (ftruncate(fd, static_cast<off_t>(content.size())) != 0) fail("cut to its length", errno);
  if (fsync(fd) != 0) fail("sync", errno);
}

UniqueFd ImageFile::write(ByteView content) {
  create();
  if (beyond_size_limit(content.size())) fail("write", EFBIG);
  fill(content);
  if (temporary_.empty()) name_it(content);
  if (rights().rename_file(folder_, temporary_.c_str(), name_.c_str()) != 0) {
    fail("put in place", errno);
  }
  temporary_.clear();
  UniqueFd file = std::move(reserved_);
  if (const int error = sync_folder(folder_, file.get()); error != 0) {
    fail("sync the folder of", error);
  }
  return file;
}

}  // namespace udpcr
