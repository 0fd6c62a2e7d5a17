// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A disk that is really full: a small tmpfs in a mount namespace of its own,
// so in a child process.
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <functional>

#include "image_sample.hpp"
#include "scratch_folder.hpp"

using namespace udpcr;
using test::error_of;

namespace {

constexpr std::size_t kDisk = 256 << 10;

// A mount namespace; in a user namespace too when we are not root.  0 or the errno.
int enter_namespace() {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) return errno;
  if (uid != 0) {
    std::ofstream map("/proc/self/uid_map");
    map << uid << ' ' << uid << " 1" << std::flush;
    if (!map) return EPERM;
    // The tmpfs's files need a group that exists here.
    std::ofstream("/proc/self/setgroups") << "deny" << std::flush;
    std::ofstream groups("/proc/self/gid_map");
    groups << gid << ' ' << gid << " 1" << std::flush;
    if (!groups) return EPERM;
  }
  return mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 ? 0 : errno;
}

// What `what` returns on a disk of kDisk bytes mounted at `path`.
std::string on_small_disk(const std::string& path, const std::function<std::string(int)>& what) {
  int ends[2];
  if (pipe(ends) != 0) return "pipe failed";
  const pid_t child = fork();
  if (child == 0) {
    std::string said;
    int error = enter_namespace();
    if (error == 0 && mount("none", path.c_str(), "tmpfs", 0, "size=256k") != 0) error = errno;
    if (error != 0) {
      said = std::string("no small disk: ") + std::strerror(error) +
             "; run the test as root or allow user namespaces";
    } else {
      try {
        const UniqueFd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        said = what(folder.get());
      } catch (const std::exception& exception) {
        said = exception.what();
      }
    }
    const bool whole = write(ends[1], said.data(), said.size()) == ssize_t(said.size());
    _exit(whole ? 0 : 1);
  }
  close(ends[1]);
  char text[4096];
  const ssize_t size = read(ends[0], text, sizeof text);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0 || size < 0) return "the child ended with status " + std::to_string(status);
  return {text, static_cast<std::size_t>(size)};
}

std::string names_in(const std::string& path) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    names.insert(entry.path().filename().string());
  }
  std::string all;
  for (const std::string& name : names) all += " " + name;
  return all;
}

}  // namespace

TEST_CASE("a full disk is named, and the earlier image stays", "[image][file]") {
  const test::ScratchFolder folder;
  REQUIRE(mkdirat(folder.fd(), "disk", 0700) == 0);
  const std::string path = folder.path("disk");
  const std::string full =
      " image ./app.udpcr: No space left on device; free some space there or let UDPCR_IMAGE name "
      "a place with more";
  const auto attempt = [&](const std::function<void(ImageFile&)>& what) {
    return on_small_disk(path, [&](int disk) {
      ImageFile(disk, "app.udpcr", "./app.udpcr").write(Bytes(10));
      ImageFile file(disk, "app.udpcr", "./app.udpcr");
      const std::string error = error_of([&] { what(file); });
      return error + names_in(path) + " " +
             std::to_string(std::filesystem::file_size(path + "/app.udpcr"));
    });
  };
  CHECK(attempt([](ImageFile& file) { file.reserve(2 * kDisk); }) ==
        "cannot reserve space for" + full + " app.udpcr 10");
  CHECK(attempt([](ImageFile& file) { file.write(Bytes(2 * kDisk)); }) ==
        "cannot write" + full + " app.udpcr 10");
}

TEST_CASE("what was reserved can be written when the disk has filled up", "[image][file]") {
  const test::ScratchFolder folder;
  REQUIRE(mkdirat(folder.fd(), "disk", 0700) == 0);
  const std::string path = folder.path("disk");
  const std::string said = on_small_disk(path, [&](int disk) {
    ImageFile file(disk, "app.udpcr", "./app.udpcr");
    file.reserve(100'000);
    const UniqueFd filler(openat(disk, "filler", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    const Bytes block(4096);
    while (write(filler.get(), block.data(), block.size()) == ssize_t(block.size())) {
    }
    if (errno != ENOSPC) return std::string("the disk did not fill up");
    const std::string error = error_of([&] { file.write(Bytes(100'000, 7)); });
    return error + names_in(path) + " " +
           std::to_string(std::filesystem::file_size(path + "/app.udpcr"));
  });
  CHECK(said == "(no error) app.udpcr filler 100000");
}
