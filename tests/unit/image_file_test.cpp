// SPDX-License-Identifier: LGPL-2.1-or-later
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstddef>

#include "image_sample.hpp"
#include "scratch_folder.hpp"
#include "temporary_file.hpp"

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

// Its exit status, or the signal that has ended it.
int in_a_child(const std::function<void()>& what) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(error_of(what) == "(no error)" ? 0 : 99);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

// In a process for which open(2) knows no O_TMPFILE, as on many file systems.
int without_unnamed_files(const std::function<void()>& what) {
  return in_a_child([&] {
    constexpr unsigned kFlag = O_TMPFILE & ~O_DIRECTORY;
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kFlag, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(code), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      throw Error("seccomp", errno);
    }
    what();
  });
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

TEST_CASE("space reserved is space held, without a name", "[image][file]") {
  const test::ScratchFolder folder;
  ImageFile file(folder.fd(), "app.udpcr", "app.udpcr");
  file.reserve(100'000);
  CHECK(folder.names().empty());
  blkcnt_t blocks = 0;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
    struct stat status {};
    struct stat of_folder {};
    if (stat(fd.path().c_str(), &status) == 0 && fstat(folder.fd(), &of_folder) == 0 &&
        status.st_dev == of_folder.st_dev && S_ISREG(status.st_mode) && status.st_nlink == 0) {
      blocks = std::max(blocks, status.st_blocks);
    }
  }
  CHECK(blocks * 512 >= 100'000);
}

TEST_CASE("an image that is given up leaves nothing behind", "[image][file]") {
  const test::ScratchFolder folder;
  folder.put("app.udpcr", kOld);
  const auto give_up = [&] {
    ImageFile file(folder.fd(), "app.udpcr", "app.udpcr");
    file.reserve(1000);
  };
  give_up();
  CHECK(folder.names() == Names{"app.udpcr"});
  CHECK(without_unnamed_files([&] { give_up(); }) == 0);
  CHECK(folder.names() == Names{"app.udpcr"});
  CHECK(folder.get("app.udpcr") == kOld);
}

TEST_CASE("a writer that is killed leaves at most what the next one removes", "[image][file]") {
  const test::ScratchFolder folder;
  folder.put("app.udpcr", kOld);
  const auto die = [&] {
    ImageFile file(folder.fd(), "app.udpcr", "app.udpcr");
    ImageFile second(folder.fd(), "app.udpcr", "app.udpcr");
    file.reserve(1000);
    second.reserve(1000);
    raise(SIGKILL);
  };
  const Names both{".app.udpcr.0.tmp", ".app.udpcr.1.tmp", "app.udpcr"};

  SECTION("with files that have no name: nothing") {
    CHECK(in_a_child(die) == SIGKILL);
    CHECK(folder.names() == Names{"app.udpcr"});
  }
  SECTION("with names: they are removed by the next start") {
    CHECK(without_unnamed_files(die) == SIGKILL);
    CHECK(folder.names() == both);
    remove_stale_temporaries(folder.fd(), "other.udpcr");
    CHECK(folder.names() == both);
    remove_stale_temporaries(folder.fd(), "app.udpcr");
    CHECK(folder.names() == Names{"app.udpcr"});
  }
  SECTION("with names: they are taken over by the next writers") {
    for (int i = 0; i < 3; ++i) {
      CHECK(without_unnamed_files(die) == SIGKILL);
      CHECK(folder.names() == both);
    }
  }
  SECTION("a file that is whole and has just got its name is no image yet") {
    TemporaryFile file = make_temporary(folder.fd(), "app.udpcr");
    REQUIRE(name_temporary(folder.fd(), "app.udpcr", file));
    CHECK(file.name == ".app.udpcr.0.tmp");
    file.fd.reset();
    remove_stale_temporaries(folder.fd(), "app.udpcr");
    CHECK(folder.names() == Names{"app.udpcr"});
  }
  CHECK(folder.get("app.udpcr") == kOld);
}

TEST_CASE("the file of a writer that lives is not taken for a leftover", "[image][file]") {
  const test::ScratchFolder folder;
  CHECK(without_unnamed_files([&] {
          ImageFile first(folder.fd(), "app.udpcr", "app.udpcr");
          ImageFile second(folder.fd(), "app.udpcr", "app.udpcr");
          ImageFile third(folder.fd(), "app.udpcr", "app.udpcr");
          first.reserve(1);
          second.reserve(1);
          third.reserve(1);
          remove_stale_temporaries(folder.fd(), "app.udpcr");
          if (folder.names().size() != 3) _exit(1);
          third.write(kOld);
          if (folder.get("app.udpcr") != kOld) _exit(2);
          first.write(kNew);
          remove_stale_temporaries(folder.fd(), "app.udpcr");
          if (folder.names().size() != 2 || folder.get("app.udpcr") != kNew) _exit(3);
        }) == 0);
  CHECK(folder.names() == Names{"app.udpcr"});
}

TEST_CASE("what stands at a temporary name and is not ours stays", "[image][file]") {
  const test::ScratchFolder folder;
  folder.put("victim", kOld);
  REQUIRE(symlinkat("victim", folder.fd(), ".app.udpcr.0.tmp") == 0);
  if (geteuid() == 0) {
    folder.put(".app.udpcr.1.tmp", kOld);
    REQUIRE(fchownat(folder.fd(), ".app.udpcr.1.tmp", 12345, 12345, 0) == 0);
  } else {
    REQUIRE(mkdirat(folder.fd(), ".app.udpcr.1.tmp", 0700) == 0);
  }
  const Names theirs{".app.udpcr.0.tmp", ".app.udpcr.1.tmp", "victim"};
  remove_stale_temporaries(folder.fd(), "app.udpcr");
  CHECK(folder.names() == theirs);
  Names all = theirs;
  all.insert("app.udpcr");
  const auto write_new = [&] { ImageFile(folder.fd(), "app.udpcr", "app.udpcr").write(kNew); };
  write_new();
  CHECK(folder.names() == all);
  CHECK(without_unnamed_files(write_new) == 0);
  CHECK(folder.names() == all);
  CHECK(folder.get("app.udpcr") == kNew);
  CHECK(folder.get("victim") == kOld);
}

TEST_CASE("an image is locked from before it is in place", "[image][file]") {
  const test::ScratchFolder folder;
  UniqueFd held = ImageFile(folder.fd(), "app.udpcr", "app.udpcr").write(kNew);
  const UniqueFd reader(openat(folder.fd(), "app.udpcr", O_RDONLY | O_CLOEXEC));
  CHECK(flock(reader.get(), LOCK_SH | LOCK_NB) != 0);
  held.reset();
  CHECK(flock(reader.get(), LOCK_SH | LOCK_NB) == 0);
}

TEST_CASE("an image may have the longest name there is", "[image][file]") {
  const test::ScratchFolder folder;
  const std::string name(255, 'a');
  CHECK(without_unnamed_files([&] { ImageFile(folder.fd(), name, name).write(kNew); }) == 0);
  ImageFile(folder.fd(), name, name).write(kOld);
  CHECK(folder.names() == Names{name});
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
