// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/resource.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "image_sample.hpp"
#include "scratch_folder.hpp"

using namespace udpcr;
using Catch::Matchers::Contains;
using Names = std::set<std::string>;
using test::error_of;

namespace {

const Bytes kOld = {1, 2, 3};
const Bytes kNew = {4, 5, 6, 7};

// Runs `what` as `uid` in a process of its own; its Error sentence.
std::string error_as(uid_t uid, const std::function<void()>& what) {
  int ends[2];
  if (pipe(ends) != 0) throw Error("pipe failed", errno);
  const pid_t child = fork();
  if (child == 0) {
    const std::string error = setuid(uid) == 0 ? error_of(what) : "setuid failed";
    const bool whole = write(ends[1], error.data(), error.size()) == ssize_t(error.size());
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

class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("an image is written whole, with mode 0600, whatever the umask", "[image][file]") {
  const test::ScratchFolder folder;
  const mode_t before = umask(0377);
  ImageFile(folder.fd(), "app.udpcr", "./app.udpcr").write(kNew);
  umask(before);
  CHECK(folder.names() == Names{"app.udpcr"});
  CHECK(folder.get("app.udpcr") == kNew);
  struct stat status {};
  REQUIRE(stat(folder.path("app.udpcr").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
}

TEST_CASE("an image replaces the earlier one, time and again", "[image][file]") {
  const test::ScratchFolder folder;
  folder.put("app.udpcr", kOld, 0644);
  ImageFile file(folder.fd(), "app.udpcr", "app.udpcr");
  file.reserve(1000);
  CHECK(folder.get("app.udpcr") == kOld);
  file.write(kNew);
  CHECK(folder.get("app.udpcr") == kNew);
  file.reserve(2);
  file.write(kOld);  // longer than reserved
  CHECK(folder.get("app.udpcr") == kOld);
  CHECK(folder.names() == Names{"app.udpcr"});
}

TEST_CASE("space reserved is space held", "[image][file]") {
  const test::ScratchFolder folder;
  ImageFile file(folder.fd(), "app.udpcr", "app.udpcr");
  file.reserve(100'000);
  REQUIRE(folder.names().size() == 1);
  struct stat status {};
  REQUIRE(stat(folder.path(*folder.names().begin()).c_str(), &status) == 0);
  CHECK(status.st_blocks * 512 >= 100'000);
}

TEST_CASE("an image that is given up leaves nothing behind", "[image][file]") {
  const test::ScratchFolder folder;
  folder.put("app.udpcr", kOld);
  {
    ImageFile file(folder.fd(), "app.udpcr", "app.udpcr");
    file.reserve(1000);
    CHECK(folder.names().size() == 2);
  }
  CHECK(folder.names() == Names{"app.udpcr"});
  CHECK(folder.get("app.udpcr") == kOld);
}

TEST_CASE("a symbolic link in the image's place is replaced, not followed", "[image][file]") {
  const test::ScratchFolder folder;
  folder.put("victim", kOld);
  REQUIRE(symlinkat("victim", folder.fd(), "app.udpcr") == 0);
  ImageFile(folder.fd(), "app.udpcr", "app.udpcr").write(kNew);
  CHECK(folder.get("victim") == kOld);
  CHECK(folder.get("app.udpcr") == kNew);
  CHECK(
      std::filesystem::is_regular_file(std::filesystem::symlink_status(folder.path("app.udpcr"))));
}

TEST_CASE("a folder that is open with O_PATH will do", "[image][file]") {
  const test::ScratchFolder folder;
  const UniqueFd path(openat(folder.fd(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  ImageFile(path.get(), "app.udpcr", "app.udpcr").write(kNew);
  CHECK(folder.get("app.udpcr") == kNew);
}

TEST_CASE("a failure names image, reason and remedy, and harms nothing", "[image][file]") {
  const test::ScratchFolder folder;
  folder.put("app.udpcr", kOld);

  SECTION("more than the file size limit") {
    ImageFile file(folder.fd(), "app.udpcr", "./app.udpcr");
    const FileSizeLimit limit(100);
    CHECK_THAT(error_of([&] { file.reserve(1000); }),
               Contains("reserve space for image ./app.udpcr: File too large; raise"));
    CHECK_THAT(error_of([&] { file.write(Bytes(1000)); }), Contains("write image ./app.udpcr"));
  }
  SECTION("more than the disk holds") {
    ImageFile file(folder.fd(), "app.udpcr", "./app.udpcr");
    const std::string error = error_of([&] { file.reserve(std::uint64_t{1} << 60); });
    CHECK_THAT(error, Contains("reserve space for image ./app.udpcr"));
    CHECK_THAT(error, Contains("No space left on device; free some space") ||
                          Contains("File too large; raise"));
    CHECK_THAT(error_of([&] { file.reserve(UINT64_MAX); }), Contains("File too large"));
  }
  SECTION("a folder stands in its place") {
    REQUIRE(mkdirat(folder.fd(), "folder", 0700) == 0);
    CHECK_THAT(error_of([&] { ImageFile(folder.fd(), "folder", "./folder").write(kNew); }),
               Contains("put in place image ./folder: Is a directory; move the folder"));
    REQUIRE(unlinkat(folder.fd(), "folder", AT_REMOVEDIR) == 0);
  }
  SECTION("a name that is none") {
    for (const char* name : {"", ".", "..", "a/b"}) {
      CHECK_THAT(error_of([&] { ImageFile(folder.fd(), name, "x"); }), Contains("no file name"));
    }
  }
  CHECK(folder.names() == Names{"app.udpcr"});
  CHECK(folder.get("app.udpcr") == kOld);
}

TEST_CASE("a folder that is gone is named", "[image][file]") {
  const test::ScratchFolder folder;
  REQUIRE(mkdirat(folder.fd(), "gone", 0700) == 0);
  const UniqueFd gone(openat(folder.fd(), "gone", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(unlinkat(folder.fd(), "gone", AT_REMOVEDIR) == 0);
  CHECK_THAT(error_of([&] { ImageFile(gone.get(), "app.udpcr", "gone/app.udpcr").write(kNew); }),
             Contains("image gone/app.udpcr: No such file or directory; create its folder"));
}

TEST_CASE("a folder that may not be written is named", "[image][file]") {
  const test::ScratchFolder folder;
  const auto write_new = [&] { ImageFile(folder.fd(), "app.udpcr", "./app.udpcr").write(kNew); };
  if (geteuid() == 0) {
    REQUIRE(fchmod(folder.fd(), 0755) == 0);
    CHECK_THAT(error_as(65534, write_new),
               Contains("image ./app.udpcr: Permission denied") && Contains("uid 65534"));
  } else {
    REQUIRE(fchmod(folder.fd(), 0555) == 0);
    CHECK_THAT(error_of(write_new), Contains("image ./app.udpcr: Permission denied"));
    REQUIRE(fchmod(folder.fd(), 0700) == 0);
  }
}
