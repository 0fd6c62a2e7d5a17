// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Opening an image with the distrust that it deserves.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <udpcr/image.hpp>

#include "image_file.hpp"
#include "rights.hpp"

namespace udpcr {
namespace {

UniqueFd open_image(int folder, const std::string& name, const std::string& display) {
  // O_NONBLOCK: a FIFO put there must not hold us up.
  UniqueFd fd(rights().open_file(folder, name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (fd) return fd;
  if (errno == ELOOP) {
    throw Error(
        "cannot use image " + display + ": it is a symbolic link; name the file that it points to",
        ELOOP);
  }
  // A socket.
  if (errno == ENXIO) {
    throw Error("cannot use image " + display + ": it is not a regular file; name one", ENXIO);
  }
  if (errno == ENOENT) {
    throw Error("cannot open image " + display +
                    ": there is no such file; take a checkpoint first or name another",
                ENOENT);
  }
  throw_image_error("open", display, errno);
}

void check_file(const struct stat& status, const std::string& display, ImageOwner owner) {
  const std::string start = "cannot use image " + display + ": it ";
  if (!S_ISREG(status.st_mode)) throw Error(start + "is not a regular file; name one", EINVAL);
  if (status.st_uid != 0 && status.st_uid != owner.uid) {
    throw Error(start + "belongs to uid " + std::to_string(status.st_uid) +
                    ", not to root or uid " + std::to_string(owner.uid) +
                    "; restore as its owner, or chown it to uid " + std::to_string(owner.uid) +
                    " if you trust what is in it",
                EPERM);
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw Error(
        start + "can be written by others than its owner; check it and run: chmod go-w " + display,
        EPERM);
  }
}

// What a reader takes at most: the queues that one checkpoint may have, and as
// much again for the rest as nobody has ever seen.
constexpr std::uint64_t kMostBytes = (std::uint64_t{1} << 30) + (std::uint64_t{256} << 20);
// Zeros that tools for copying leave out may be some of an image; a file that
// is made of them costs its writer nothing and its reader all of its size.
constexpr std::uint64_t kMostHoles = std::uint64_t{16} << 20;

// Bytes of the file that are data.  A file system that compresses has fewer
// blocks than data, so its word about holes is asked for too.
std::uint64_t bytes_on_disk(int fd, const struct stat& status) {
  constexpr int kMostExtents = 65536;
  const auto allocated = static_cast<std::uint64_t>(status.st_blocks) * 512;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (allocated >= size) return size;
  std::uint64_t data = 0;
  off_t at = 0;
  for (int extent = 0; extent < kMostExtents; ++extent) {
    const off_t begin = ::lseek(fd, at, SEEK_DATA);
    if (begin < 0) break;  // ENXIO: only a hole is left
    const off_t end = ::lseek(fd, begin, SEEK_HOLE);
    if (end <= begin) break;
    data += static_cast<std::uint64_t>(end - begin);
    at = end;
  }
  static_cast<void>(::lseek(fd, 0, SEEK_SET));
  return std::max(data, allocated);
}

void check_size(int fd, const struct stat& status, const std::string& display) {
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > kMostBytes) {
    throw Error("cannot use image " + display + ": it has " + std::to_string(size) +
                    " bytes, more than the " + std::to_string(kMostBytes) +
                    " that are read; take a new checkpoint, without queues "
                    "(UDPCR_QUEUES=none) if need be",
                EFBIG);
  }
  const std::uint64_t data = bytes_on_disk(fd, status);
  if (size > data && size - data > kMostHoles) {
    throw Error("cannot use image " + display + ": only " + std::to_string(data) + " of its " +
                    std::to_string(size) + " bytes are on the disk, and no more than " +
                    std::to_string(kMostHoles) +
                    " may be missing; take a new checkpoint, or copy it with cp --sparse=never "
                    "if you trust what is in it",
                EFBIG);
  }
}

// A file may shrink or grow meanwhile: what was read is what counts.
Bytes read_all(int fd, std::size_t size, const std::string& display) {
  // A large file that is not even an image must not cost its size in memory.
  char magic[sizeof udpcr_image_header::magic] = {};
  const std::size_t known = std::min(size, sizeof magic);
  if (::pread(fd, magic, known, 0) != static_cast<ssize_t>(known) ||
      std::memcmp(magic, UDPCR_IMAGE_MAGIC, known) != 0) {
    size = known;
  }
  Bytes content(size);
  std::size_t have = 0;
  while (have < size) {
    const ssize_t got = ::read(fd, content.data() + have, size - have);
    if (got < 0) {
      if (errno == EINTR) continue;
      throw_image_error("read", display, errno);
    }
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  content.resize(have);
  return content;
}

}  // namespace

Image load_image(int folder, const std::string& name, const std::string& display,
                 ImageOwner owner) {
  check_image_name(name, display);
  const UniqueFd fd = open_image(folder, name, display);
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) throw_image_error("examine", display, errno);
  check_file(status, display, owner);
  check_size(fd.get(), status, display);
  try {
    return parse_image(read_all(fd.get(), static_cast<std::size_t>(status.st_size), display));
  } catch (const std::bad_alloc&) {
    throw Error("cannot read image " + display + ": its " + std::to_string(status.st_size) +
                    " bytes do not fit into memory twice; free some memory",
                ENOMEM);
  } catch (const std::length_error&) {
    throw_image_error("read", display, EFBIG);
  } catch (const Error& error) {
    if (error.error_number() != 0) throw;
    throw Error("cannot use image " + display + ": " + error.what());
  }
}

}  // namespace udpcr
