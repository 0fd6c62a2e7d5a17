// SPDX-License-Identifier: LGPL-2.1-or-later
#include "temporary_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <udpcr/image_header.h>

#include <cerrno>
#include <cstdio>
#include <functional>

#include "persist.hpp"
#include "rights.hpp"

namespace udpcr {

std::string temporary_stem(const std::string& image) {
  // With what is put around it, it must be no longer than NAME_MAX (255).
  constexpr std::size_t kLongest = 240;
  if (image.size() <= kLongest) return image;
  return std::to_string(udpcr_identity_hash(UDPCR_HASH_START, image.data(), image.size()));
}

namespace {

// A handover has two at a time: what it writes, and what it keeps for the rest.
constexpr unsigned kSlots = 2;
// Each failure but the last has removed a leftover, or met somebody who was about to.
constexpr int kAttempts = 16;
constexpr mode_t kMode = 0600;

std::string slot_name(const std::string& image, unsigned slot) {
  return "." + temporary_stem(image) + "." + std::to_string(slot) + ".tmp";
}

// Nobody can foresee it, so nobody can be in its way; but nobody removes it either.
std::string unforeseen_name() {
  std::uint64_t random = 0;
  if (persist([&] { return getrandom(&random, sizeof random, 0); }) != sizeof random) return {};
  char text[64];
  std::snprintf(text, sizeof text, ".udpcr-%d-%016llx.tmp", static_cast<int>(getpid()),
                static_cast<unsigned long long>(random));
  return text;
}

// A folder that may not be entered may have to be opened by others.
bool look(int folder, const std::string& name, struct stat& status) noexcept {
  if (fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno != EACCES) return false;
  const UniqueFd file(rights().open_file(folder, name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY));
  return file && fstat(file.get(), &status) == 0;
}

bool is_at(int folder, const std::string& name, int fd) noexcept {
  struct stat opened {};
  struct stat named {};
  return fstat(fd, &opened) == 0 && look(folder, name, named) && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

// A file system without locks has nobody who waits for one.
bool lock(int fd) noexcept { return flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; }

// True: the name was, or has become, free.
bool remove_stale(int folder, const std::string& name) noexcept {
  const UniqueFd file(rights().open_file(folder, name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (!file) return errno == ENOENT;
  struct stat status {};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      (status.st_uid != 0 && status.st_uid != geteuid())) {
    return false;
  }
  // Its writer lives, or cannot be told from one that does.
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) return false;
  // Whoever renames or removes it holds the lock that is ours now.
  return !is_at(folder, name, file.get()) || rights().unlink_file(folder, name.c_str()) == 0;
}

// `put` gives the file a name, with EEXIST where there is one.  The name that it
// has then; empty with errno.
std::string put_at_a_name(int folder, const std::string& image,
                          const std::function<bool(const std::string&)>& put) {
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    const std::string name = slot_name(image, slot);
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (put(name)) return name;
      if (errno != EEXIST) return {};
      if (!remove_stale(folder, name)) break;
    }
  }
  // Other writers have both, or files of others stand there.
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::string name = unforeseen_name();
    if (name.empty()) continue;
    if (put(name)) return name;
    if (errno != EEXIST && errno != EINTR) break;
  }
  return {};
}

// Whether link_by_fd() can find it.
std::string path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

}  // namespace

TemporaryFile make_named_temporary(int folder, const std::string& image) {
  TemporaryFile file;
  file.name = put_at_a_name(folder, image, [&](const std::string& name) {
    file.fd = UniqueFd(rights().open_file(folder, name.c_str(), O_CREAT | O_EXCL | O_RDWR));
    if (!file.fd) return false;
    // Somebody may have taken it for a leftover before it was locked.
    if (lock(file.fd.get()) && is_at(folder, name, file.fd.get())) return true;
    file.fd.reset();
    errno = EEXIST;
    return false;
  });
  return file;
}

TemporaryFile make_temporary(int folder, const std::string& image) {
  UniqueFd fd(openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, kMode));
  // It is named by way of /proc, which a chroot may not have.
  if (fd && faccessat(AT_FDCWD, path_of(fd.get()).c_str(), F_OK, 0) == 0 && lock(fd.get())) {
    return {std::move(fd), {}};
  }
  return make_named_temporary(folder, image);
}

bool name_temporary(int folder, const std::string& image, TemporaryFile& file) {
  const std::string path = path_of(file.fd.get());
  file.name = put_at_a_name(folder, image, [&](const std::string& name) {
    return linkat(AT_FDCWD, path.c_str(), folder, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  });
  return !file.name.empty();
}

void remove_stale_temporaries(int folder, const std::string& image) noexcept {
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    remove_stale(folder, slot_name(image, slot));
  }
}

}  // namespace udpcr
