// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Writes the images that fuzzing starts from: fuzz_corpus SMALL_FOLDER LARGE_FOLDER.
// The large ones are not mutated, only read: they try the bound of memory.
#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <udpcr/image.hpp>

#include "image_sample.hpp"

namespace {

using namespace udpcr;

void write_image(int folder, const char* name, const Image& image) {
  ImageFile(folder, name, name).write(serialize_image(image));
}

void write_small(int folder) {
  write_image(folder, "empty", Image{});
  write_image(folder, "sample", test::sample_image());
  Image bare = test::sample_image();
  for (ImageSocket& socket : bare.sockets) {
    socket.receive_queue = {};
    socket.send_queue = {};
    socket.losses.clear();
  }
  write_image(folder, "no-queues", bare);
  Image queue;
  queue.executable = "/a";
  queue.processes = {{1, {{3, 0, 0}}}};
  queue.sockets.resize(1);
  queue.sockets[0].record = encode_record(test::full_record());
  for (const std::size_t size : {0, 1, 100, 1400}) {
    queue.sockets[0].receive_queue.append(encode_datagram(test::full_datagram(size)));
  }
  queue.sockets[0].receive_queue.append(encode_datagram(test::full_error(8)));
  write_image(folder, "queue", queue);
}

void write_large(int folder) {
  Image sockets;
  sockets.sockets.resize(30'000);
  write_image(folder, "sockets", sockets);
  Image arguments;
  arguments.arguments.assign(100'000, "");
  write_image(folder, "arguments", arguments);
  Image losses;
  losses.losses.assign(50'000, Loss{"a", "", ""});
  write_image(folder, "losses", losses);
  Image queue;
  queue.sockets.resize(1);
  queue.sockets[0].record = encode_record(test::full_record());
  for (int i = 0; i < 20'000; ++i) {
    queue.sockets[0].receive_queue.append(encode_datagram(test::full_datagram(100)));
  }
  write_image(folder, "queue", queue);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "Usage: fuzz_corpus SMALL_FOLDER LARGE_FOLDER\n");
    return 2;
  }
  try {
    for (const int i : {1, 2}) {
      const UniqueFd folder(open(argv[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!folder) throw Error(std::string(argv[i]) + ": " + std::strerror(errno), errno);
      i == 1 ? write_small(folder.get()) : write_large(folder.get());
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz_corpus: %s\n", error.what());
    return 1;
  }
  return 0;
}
