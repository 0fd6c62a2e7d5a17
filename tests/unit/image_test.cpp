// SPDX-License-Identifier: LGPL-2.1-or-later
#include <catch2/catch.hpp>
#include <cstring>

#include "image_sample.hpp"

using namespace udpcr;
using Catch::Matchers::Contains;
using test::error_of;

namespace {

udpcr_image_header header_of(const Bytes& file) {
  udpcr_image_header header{};
  std::memcpy(&header, file.data(), sizeof header);
  return header;
}

std::uint32_t u32_at(const Bytes& file, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, file.data() + at, sizeof value);
  return value;
}

void set_u32(Bytes& file, std::size_t at, std::uint32_t value) {
  std::memcpy(file.data() + at, &value, sizeof value);
}

}  // namespace

TEST_CASE("an image comes back as it was", "[image]") {
  const Image image = test::sample_image();
  const Image read = parse_image(serialize_image(image));
  CHECK(read.executable == image.executable);
  CHECK(read.arguments == image.arguments);
  CHECK_FALSE(read.full_arguments_hash);
  CHECK(read.host == image.host);
  CHECK(read.kernel == image.kernel);
  CHECK(read.boot_id == image.boot_id);
  CHECK(read.engine == image.engine);
  CHECK(read.created == image.created);
  REQUIRE(read.processes.size() == 2);
  CHECK(read.processes[1].pid == 101);
  REQUIRE(read.processes[0].fds.size() == 3);
  CHECK(read.processes[0].fds[0].number == 3);
  CHECK(read.processes[0].fds[0].flags == 1);
  CHECK(read.processes[0].fds[1].socket == 1);
  REQUIRE(read.sockets.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(read.sockets[i].record == image.sockets[i].record);
    CHECK(read.sockets[i].receive_queue.bytes() == image.sockets[i].receive_queue.bytes());
    CHECK(read.sockets[i].receive_queue.count() == image.sockets[i].receive_queue.count());
    CHECK(read.sockets[i].send_queue.bytes() == image.sockets[i].send_queue.bytes());
    CHECK(read.sockets[i].losses == image.sockets[i].losses);
    CHECK(read.sockets[i].error_queue.bytes() == image.sockets[i].error_queue.bytes());
  }
  CHECK(read.sockets[0].error_queue.count() == 1);
  CHECK(read.losses == image.losses);
}

TEST_CASE("an empty image comes back", "[image]") {
  const Image read = parse_image(serialize_image(Image{}));
  CHECK(read.sockets.empty());
  CHECK(read.executable.empty());
}

// The bytes must be the same with every Boost and compiler: pinned here.
TEST_CASE("the bytes of an image are the format's alone", "[image]") {
  Image image;
  image.executable = "/a";
  image.created = 0x0102030405060708;
  image.processes = {{7, {{3, 1, 0}}}};
  image.sockets.resize(1);
  image.sockets[0].record = {0xaa};
  const Bytes file = serialize_image(image);
  const Bytes metadata(file.begin() + 56, file.end());
  const Bytes expected = {
      119, 0, 0, 0,                        // the program: 119 bytes
      2,   0, 0, 0, '/', 'a',              // executable
      0,   0, 0, 0,                        // arguments
      0,   0, 0, 0, 0,   0,   0, 0,        // host, kernel
      0,   0, 0, 0, 0,   0,   0, 0,        // boot id, engine
      8,   7, 6, 5, 4,   3,   2, 1,        // created
      1,   0, 0, 0,                        // processes: 1
      28,  0, 0, 0, 7,   0,   0, 0,        // process: 28 bytes, pid
      1,   0, 0, 0,                        // fds: 1
      16,  0, 0, 0, 3,   0,   0, 0,        // fd: 16 bytes, number
      1,   0, 0, 0, 0,   0,   0, 0,        // flags, socket
      0,   0, 0, 0,                        // name
      1,   0, 0, 0,                        // sockets: 1
      33,  0, 0, 0, 1,   0,   0, 0, 0xaa,  // socket: 33 bytes, record of 1
      0,   0, 0, 0, 0,   0,   0, 0,        // receive queue: 0 bytes
      0,   0, 0, 0, 0,   0,   0, 0,        // send queue
      0,   0, 0, 0,                        // losses of the socket
      0,   0, 0, 0, 0,   0,   0, 0,        // error queue
      0,   0, 0, 0,                        // losses of the whole
      0,   0, 0, 0,                        // ballast
  };
  CHECK(metadata == expected);
}

TEST_CASE("an image of version 1, without error queues, is read", "[image]") {
  MessageStream queue;
  queue.append(encode_datagram(test::full_datagram(3)));
  const auto size = static_cast<std::uint8_t>(queue.bytes().size());
  REQUIRE(queue.bytes().size() < 256);
  const Bytes metadata = {
      0,    0, 0, 0,                    // the program: set below
      0,    0, 0, 0, 0, 0, 0, 0,        // executable, arguments
      0,    0, 0, 0, 0, 0, 0, 0,        // host, kernel
      0,    0, 0, 0, 0, 0, 0, 0,        // boot id, engine
      0,    0, 0, 0, 0, 0, 0, 0,        // created
      0,    0, 0, 0,                    // processes
      1,    0, 0, 0,                    // sockets: 1
      25,   0, 0, 0, 1, 0, 0, 0, 0xaa,  // socket: 25 bytes, record of 1
      0,    0, 0, 0, 0, 0, 0, 0,        // receive queue
      size, 0, 0, 0, 0, 0, 0, 0,        // send queue
      0,    0, 0, 0,                    // losses of the socket
      0,    0, 0, 0,                    // losses of the whole
      0,    0, 0, 0,                    // ballast
  };
  Bytes file = serialize_image(Image{});
  file.resize(56);
  file[12] = 1;
  file.insert(file.end(), metadata.begin(), metadata.end());
  set_u32(file, 56, static_cast<std::uint32_t>(metadata.size() - 4));
  file.insert(file.end(), queue.bytes().begin(), queue.bytes().end());
  test::seal(file, metadata.size());
  const Image read = parse_image(file);
  REQUIRE(read.sockets.size() == 1);
  CHECK(read.sockets[0].send_queue.count() == 1);
  CHECK(read.sockets[0].error_queue.empty());
  CHECK(read.losses.empty());
}

TEST_CASE("the header names the program", "[image]") {
  Image image = test::sample_image();
  udpcr_image_header header = header_of(serialize_image(image));
  CHECK(header.exe_hash == executable_hash("/usr/sbin/dnsmasq"));
  CHECK(header.argv_hash == arguments_hash(image.arguments));
  // FNV-1a, 64 bit, of "a" is known.
  CHECK(executable_hash("a") == 0xaf63dc4c8601ec8cULL);
  CHECK(arguments_hash({"ab", "c"}) != arguments_hash({"a", "bc"}));

  image.full_arguments_hash = 4711;
  const Bytes file = serialize_image(image);
  CHECK(header_of(file).argv_hash == 4711);
  CHECK(parse_image(file).full_arguments_hash == 4711);
}

TEST_CASE("what a later version adds is skipped and named", "[image]") {
  const Image image = test::sample_image();
  Bytes file = serialize_image(image);
  std::size_t metadata = header_of(file).metadata_size;

  SECTION("behind the program") {
    const std::size_t end = 56 + metadata;
    file.insert(file.begin() + static_cast<std::ptrdiff_t>(end), {1, 2, 3});
    set_u32(file, 56, u32_at(file, 56) + 3);
    test::seal(file, metadata + 3);
    const Image read = parse_image(file);
    REQUIRE(read.losses.size() == image.losses.size() + 1);
    CHECK(read.losses.back().why == "3 bytes about the program were written by a newer udpcr");
    CHECK(read.sockets.size() == 3);
  }
  SECTION("in the header") {
    file.insert(file.begin() + 56, {1, 2, 3, 4});
    file[14] = 60;  // header_size
    test::seal(file, metadata);
    const Image read = parse_image(file);
    REQUIRE(read.losses.size() == image.losses.size() + 1);
    CHECK_THAT(read.losses.back().why, Contains("4 bytes about the image's header"));
  }
  SECTION("behind an fd") {
    Image small;
    small.processes = {{7, {{3, 1, 0}}}};
    small.sockets.resize(1);
    file = serialize_image(small);
    metadata = header_of(file).metadata_size;
    // Program, processes, process, fds: see the test of the bytes.
    const std::size_t process = 56 + 4 + 4 + 4 + 16 + 8 + 4;
    const std::size_t fd = process + 12;
    REQUIRE(u32_at(file, process) == 28);
    REQUIRE(u32_at(file, fd) == 16);
    file.insert(file.begin() + static_cast<std::ptrdiff_t>(fd + 20), {9, 9});
    set_u32(file, 56, u32_at(file, 56) + 2);
    set_u32(file, process, 30);
    set_u32(file, fd, 18);
    test::seal(file, metadata + 2);
    const Image read = parse_image(file);
    REQUIRE(read.losses.size() == 1);
    CHECK_THAT(read.losses[0].why, Contains("2 bytes about fds"));
    CHECK(read.processes.at(0).fds.at(0).number == 3);
    CHECK(read.sockets.size() == 1);
  }
}

TEST_CASE("very many tiny parts are read within the memory that is allowed", "[image]") {
  Image image;
  image.arguments.assign(60'000, "");
  image.sockets.resize(40'000);
  const Image read = parse_image(serialize_image(image));
  CHECK(read.arguments.size() == 60'000);
  CHECK(read.sockets.size() == 40'000);
}

TEST_CASE("an fd that names no socket is not written", "[image]") {
  Image image;
  image.processes = {{7, {{3, 0, 0}}}};
  CHECK_THAT(error_of([&] { serialize_image(image); }), Contains("names socket 0"));
}
