// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The image file: what a checkpoint of a process tree leaves on disk.
// docs/image.md describes the format.
#pragma once

#include <udpcr/image_header.h>
#include <udpcr/udpcr.hpp>

namespace udpcr {

struct ImageFd {
  std::int32_t number = -1;
  std::uint32_t flags = 0;   // FD_CLOEXEC
  std::uint32_t socket = 0;  // index into Image::sockets
  std::string name = {};     // of LISTEN_FDNAMES (sd_listen_fds(3)); mostly empty
};

struct ImageProcess {
  std::int32_t pid = 0;
  std::vector<ImageFd> fds;
};

struct ImageSocket {
  Bytes record;  // encode_record()
  MessageStream receive_queue;
  MessageStream send_queue;
  std::vector<Loss> losses;
  MessageStream error_queue;
};

struct Image {
  // Identity of the program: what decides who may take the image.
  std::string executable;
  std::vector<std::string> arguments;
  // arguments_hash() of all of them, where `arguments` had to be cut short.
  std::optional<std::uint64_t> full_arguments_hash;

  std::string host;
  std::string kernel;
  std::string boot_id;
  std::string engine;
  std::uint64_t created = 0;  // ns, CLOCK_REALTIME

  std::vector<ImageProcess> processes;  // the root of the tree first
  std::vector<ImageSocket> sockets;     // in order of first appearance: process, then fd
  std::vector<Loss> losses;             // of the checkpoint as a whole
};

std::uint64_t executable_hash(const std::string& executable) noexcept;
std::uint64_t arguments_hash(const std::vector<std::string>& arguments) noexcept;

Bytes serialize_image(const Image& image);

// Throws Error on anything that is not a whole, sound image of a version that
// we know.  Never allocates more than the size of `file` and 1 MiB, beside
// what the caller holds.
Image parse_image(ByteView file);

struct TemporaryFile;

// Writes `name` in the folder `folder` whole or not at all: temporary file,
// fsync, rename, fsync of the folder; mode 0600.  `display` names the image in
// errors.
class ImageFile {
 public:
  // `folder`: an open directory, not owned, must stay open.
  ImageFile(int folder, std::string name, std::string display);
  ~ImageFile();
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;

  // Makes sure that a file of `bytes` can be written by the next write().
  void reserve(std::uint64_t bytes);
  // The earlier image stays as it is when this throws.  Returns the image, which
  // is locked (flock(2)) from before it was in place until the fd is closed.
  UniqueFd write(ByteView content);

 private:
  void create();
  void take(TemporaryFile file);
  void fill(ByteView content);
  void name_it(ByteView content);
  void discard() noexcept;
  [[noreturn]] void fail(const char* operation, int error_number);

  int folder_;
  std::string name_;
  std::string display_;
  std::string temporary_;  // its name; empty: it has none
  UniqueFd reserved_;      // the temporary file
};

struct ImageOwner {
  std::uint32_t uid = 0;
};

// Opens O_NOFOLLOW, regular files only, owned by root or `owner`, writable by
// nobody else; then parse_image().  Error::error_number() is ENOENT when there
// is no such file.
Image load_image(int folder, const std::string& name, const std::string& display, ImageOwner owner);

}  // namespace udpcr
