// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Images that are cut, damaged or hostile: one clear Error each.
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>

#include "image_sample.hpp"

using namespace udpcr;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using test::error_of;

namespace {

constexpr std::uint8_t kFlips[] = {0x01, 0x80, 0xff};

std::string parse_error(const Bytes& file) {
  return error_of([&] { parse_image(file); });
}

template <typename T>
Bytes with_field(std::size_t at, T value) {
  Bytes file = serialize_image(test::sample_image());
  std::memcpy(file.data() + at, &value, sizeof value);
  return file;
}

// A sound header in front of `metadata`, and `queues`.
Bytes image_of(const Bytes& metadata, const Bytes& queues = {}) {
  Bytes file = serialize_image(Image{});
  file.resize(56);
  file.insert(file.end(), metadata.begin(), metadata.end());
  file.insert(file.end(), queues.begin(), queues.end());
  test::seal(file, metadata.size());
  return file;
}

class Metadata {
 public:
  Metadata& u32(std::uint32_t value) { return raw(&value, sizeof value); }
  Metadata& u64(std::uint64_t value) { return raw(&value, sizeof value); }
  // Executable, arguments, host, kernel, boot id, engine: empty; created.
  Metadata& no_program() { return u32(0).u32(0).u32(0).u32(0).u32(0).u32(0).u64(0); }
  // Behind its length.
  [[nodiscard]] Bytes section() const {
    Metadata outer;
    outer.u32(static_cast<std::uint32_t>(bytes_.size())).raw(bytes_.data(), bytes_.size());
    return outer.bytes_;
  }

 private:
  Metadata& raw(const void* data, std::size_t size) {
    const auto* const begin = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
    return *this;
  }
  Bytes bytes_;
};

}  // namespace

TEST_CASE("an image cut at any byte is an error", "[image][damage]") {
  const Bytes whole = serialize_image(test::sample_image());
  CHECK_THAT(parse_error({}), StartsWith("empty file"));
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const std::string error = parse_error(cut);
    CHECK_THAT(error, StartsWith("truncated image: " + std::to_string(size) + " bytes of the "));
  }
  const Bytes half(whole.begin(), whole.begin() + 100);
  CHECK_THAT(parse_error(half), Contains("100 bytes of the " + std::to_string(whole.size())));
}

TEST_CASE("an image with any bit of any byte changed is an error", "[image][damage]") {
  Bytes file = serialize_image(test::sample_image());
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (const std::uint8_t flip : kFlips) {
      file[at] ^= flip;
      CHECK(parse_error(file) != "(no error)");
      file[at] ^= flip;
    }
  }
  CHECK(parse_error(file) == "(no error)");
}

// As a hostile writer does, who can compute a checksum.
TEST_CASE("metadata with any byte changed and a right checksum never crashes", "[image][damage]") {
  const Bytes whole = serialize_image(test::sample_image());
  udpcr_image_header header{};
  std::memcpy(&header, whole.data(), sizeof header);
  std::size_t errors = 0;
  for (std::size_t at = sizeof header; at < whole.size(); ++at) {
    for (const std::uint8_t flip : kFlips) {
      Bytes file = whole;
      file[at] ^= flip;
      test::seal(file, header.metadata_size);
      errors += parse_error(file) == "(no error)" ? 0 : 1;
    }
  }
  CHECK(errors > 100);  // most change a text; lengths and counts must be noticed
}

TEST_CASE("a header that is not ours says so", "[image][damage]") {
  CHECK_THAT(parse_error({'#', '!', '/', 'b'}), StartsWith("not an image"));
  CHECK_THAT(parse_error({'U', 'D', 'P'}), StartsWith("truncated image: 3 bytes of the 56"));
  CHECK_THAT(parse_error(with_field<std::uint32_t>(8, 0x04030201)),
             StartsWith("image of another byte order") && Contains("endian"));
  CHECK_THAT(parse_error(with_field<std::uint32_t>(8, 5)), Contains("byte order mark is 5"));
  CHECK_THAT(parse_error(with_field<std::uint16_t>(12, 3)),
             StartsWith("image of a future format: version 3") && Contains("reads up to 2"));
  CHECK_THAT(parse_error(with_field<std::uint16_t>(12, 0)), Contains("version is 0"));
  CHECK_THAT(parse_error(with_field<std::uint16_t>(14, 55)), Contains("size of 55"));
  CHECK_THAT(parse_error(with_field<std::uint64_t>(16, UINT64_MAX)),
             Contains("18446744073709551615"));
  CHECK_THAT(parse_error(with_field<std::uint32_t>(48, 1)), Contains("checksum"));
  Bytes longer = serialize_image(test::sample_image());
  longer.push_back(0);
  CHECK_THAT(parse_error(longer), Contains("1 bytes trail"));
}

TEST_CASE("metadata that promises more than is there is an error", "[image][damage]") {
  CHECK_THAT(parse_error(image_of({})), Contains("an integer"));
  CHECK_THAT(parse_error(image_of(Metadata().u32(9).section())),
             StartsWith("corrupt image") && Contains("a text of 9 bytes"));
  CHECK_THAT(parse_error(image_of({255, 255, 255, 255})), Contains("the program of 4294967295"));
  // Executable, then 2^32 - 1 arguments.
  CHECK_THAT(parse_error(image_of(Metadata().u32(0).u32(UINT32_MAX).section())),
             Contains("a table of 4294967295 entries"));
  Bytes trailing = Metadata().no_program().u32(0).u32(0).u32(0).u32(0).section();
  CHECK(parse_error(image_of(trailing)) == "(no error)");
  CHECK_THAT(parse_error(image_of(trailing, {1})), Contains("1 bytes of its queues"));
  trailing.push_back(0);
  CHECK_THAT(parse_error(image_of(trailing)), Contains("1 bytes trail behind its metadata"));
}

TEST_CASE("tables that would take much more memory than the file are an error", "[image][damage]") {
  Metadata metadata;
  metadata.u32(0).u32(300'000);
  for (int i = 0; i < 300'000; ++i) metadata.u32(0);
  CHECK_THAT(parse_error(image_of(metadata.section())), Contains("1 MiB"));
}

TEST_CASE("references and queues that lead nowhere are an error", "[image][damage]") {
  const auto with_fd = [](std::uint32_t number, std::uint32_t socket) {
    return Metadata()
        .no_program()
        .u32(1)
        .u32(24)
        .u32(1)
        .u32(1)
        .u32(12)
        .u32(number)
        .u32(0)
        .u32(socket)
        .u32(0)
        .u32(0)
        .u32(0)
        .section();
  };
  CHECK_THAT(parse_error(image_of(with_fd(3, 5))), Contains("fd 3 of process 1 names socket 5"));
  const auto with_queue = [](std::uint64_t size) {
    return Metadata()
        .no_program()
        .u32(0)
        .u32(1)
        .u32(24)
        .u32(0)
        .u64(size)
        .u64(0)
        .u32(0)
        .u32(0)
        .u32(0)
        .section();
  };
  CHECK_THAT(parse_error(image_of(with_queue(9), {1, 2})), Contains("a queue of 9 bytes"));
  CHECK_THAT(parse_error(image_of(with_queue(2), {1, 2})), Contains("broken message stream"));
  CHECK(parse_error(image_of(with_queue(0))) == "(no error)");
}

TEST_CASE("a header that names another program is an error", "[image][damage]") {
  Bytes file = with_field<std::uint64_t>(32, 1);
  udpcr_image_header header{};
  std::memcpy(&header, file.data(), sizeof header);
  test::seal(file, header.metadata_size);
  CHECK_THAT(parse_error(file), Contains("another program"));
}
