// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>

#include "image_sample.hpp"
#include "scratch_folder.hpp"

using namespace udpcr;
using Catch::Matchers::Contains;
using test::error_of;

namespace {

const ImageOwner kMe{geteuid()};

std::string load_error(const test::ScratchFolder& folder, ImageOwner owner = kMe) {
  return error_of([&] { load_image(folder.fd(), "app.udpcr", "./app.udpcr", owner); });
}

}  // namespace

TEST_CASE("an image is loaded from its folder", "[image][load]") {
  const test::ScratchFolder folder;
  ImageFile(folder.fd(), "app.udpcr", "app.udpcr").write(serialize_image(test::sample_image()));
  CHECK(load_image(folder.fd(), "app.udpcr", "app.udpcr", kMe).sockets.size() == 3);
  // Everybody may read it.
  folder.put("app.udpcr", serialize_image(test::sample_image()), 0644);
  CHECK(load_image(folder.fd(), "app.udpcr", "app.udpcr", kMe).host == "host.example");
}

TEST_CASE("an image that is not there is ENOENT", "[image][load]") {
  const test::ScratchFolder folder;
  try {
    load_image(folder.fd(), "app.udpcr", "./app.udpcr", kMe);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.error_number() == ENOENT);
    CHECK_THAT(error.what(), Contains("image ./app.udpcr: there is no such file"));
  }
}

TEST_CASE("a symbolic link is not followed", "[image][load]") {
  const test::ScratchFolder folder;
  folder.put("real", serialize_image(test::sample_image()));
  REQUIRE(symlinkat("real", folder.fd(), "app.udpcr") == 0);
  CHECK_THAT(load_error(folder), Contains("./app.udpcr") && Contains("symbolic link"));
}

TEST_CASE("what is no regular file is refused and does not block", "[image][load]") {
  const test::ScratchFolder folder;
  SECTION("FIFO") { REQUIRE(mkfifoat(folder.fd(), "app.udpcr", 0600) == 0); }
  SECTION("folder") { REQUIRE(mkdirat(folder.fd(), "app.udpcr", 0700) == 0); }
  SECTION("socket") {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = folder.path("app.udpcr");
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  CHECK_THAT(load_error(folder), Contains("./app.udpcr: it is not a regular file"));
}

TEST_CASE("an image that others can write is refused", "[image][load]") {
  const test::ScratchFolder folder;
  const auto mode = GENERATE(mode_t{0620}, mode_t{0602});
  folder.put("app.udpcr", serialize_image(test::sample_image()), mode);
  CHECK_THAT(load_error(folder),
             Contains("written by others") && Contains("chmod go-w ./app.udpcr"));
}

TEST_CASE("an image of another owner is refused, one of root is not", "[image][load]") {
  const test::ScratchFolder folder;
  folder.put("app.udpcr", serialize_image(test::sample_image()));
  if (geteuid() == 0) {
    CHECK(load_error(folder, ImageOwner{12345}) == "(no error)");
    REQUIRE(fchownat(folder.fd(), "app.udpcr", 4711, 4711, 0) == 0);
    CHECK_THAT(load_error(folder), Contains("belongs to uid 4711, not to root or uid 0") &&
                                       Contains("chown it to uid 0"));
    CHECK(load_error(folder, ImageOwner{4711}) == "(no error)");
  } else {
    CHECK_THAT(load_error(folder, ImageOwner{geteuid() + 1}),
               Contains("belongs to uid " + std::to_string(geteuid())));
  }
}

TEST_CASE("what is wrong inside is said with the image's name", "[image][load]") {
  const test::ScratchFolder folder;
  Bytes file = serialize_image(test::sample_image());
  file.resize(file.size() - 1);
  folder.put("app.udpcr", file);
  CHECK_THAT(load_error(folder), Contains("image ./app.udpcr: truncated image: ") &&
                                     Contains(std::to_string(file.size() + 1)));
  folder.put("app.udpcr", {});
  CHECK_THAT(load_error(folder), Contains("image ./app.udpcr: empty file"));
  // More than there is memory for, none of it on disk.
  REQUIRE(truncate(folder.path("app.udpcr").c_str(), off_t{1} << 42) == 0);
  CHECK_THAT(load_error(folder), Contains("image ./app.udpcr: it has 4398046511104 bytes, more"));
}
