// SPDX-License-Identifier: LGPL-2.1-or-later
#include "show.hpp"

#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace udpcr::tool {
namespace {

constexpr int kGood = 0;
constexpr int kError = 1;
constexpr int kUsage = 2;

void add_unknown(std::vector<std::uint16_t>& all, std::vector<std::uint16_t>& some) {
  for (const std::uint16_t number : some) {
    if (std::find(all.begin(), all.end(), number) == all.end()) all.push_back(number);
  }
  some.clear();
}

ShownQueue examine_queue(const MessageStream& queue, bool list,
                         std::vector<std::uint16_t>& unknown) {
  ShownQueue shown;
  std::vector<std::uint16_t> skipped;
  std::size_t offset = 0;
  for (ByteView message = queue.next(offset); !message.empty(); message = queue.next(offset)) {
    const Datagram datagram = decode_datagram(message, skipped);
    add_unknown(unknown, skipped);
    ++shown.datagrams;
    shown.bytes += datagram.payload.size();
    if (list) {
      shown.listed.push_back({datagram.source, datagram.destination, datagram.payload.size()});
    }
  }
  return shown;
}

Image open_image(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const UniqueFd fd(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    throw Error("cannot open the folder " + folder + " of image " + path + ": " +
                    std::strerror(errno) + "; name an image in a folder that you can enter",
                errno);
  }
  // Who wrote it matters to a restore, not to a reader.
  struct stat status {};
  const bool found = fstatat(fd.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  return load_image(fd.get(), name, path, ImageOwner{found ? status.st_uid : geteuid()});
}

Shown open_and_examine(const std::string& path, bool queues) {
  Image image = open_image(path);
  try {
    return examine(std::move(image), path, queues);
  } catch (const Error& error) {
    throw Error("cannot use image " + path + ": " + error.what(), error.error_number());
  }
}

int fail(const std::exception& error) {
  std::fprintf(stderr, "udpcr: %s\n", printable(error.what()).c_str());
  return kError;
}

int print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return kGood;
  }
  std::fprintf(stderr, "udpcr: cannot write to standard output: %s; give it room or a reader\n",
               std::strerror(errno));
  return kError;
}

constexpr char kShowUsage[] =
    "Usage: udpcr show [--json] [--queues] IMAGE\n"
    "Shows what an image holds: program, sockets, what was not kept.\n"
    "\n"
    "  --json    as JSON\n"
    "  --queues  list each queued datagram: source, destination, size\n";
constexpr char kVerifyUsage[] =
    "Usage: udpcr verify IMAGE\n"
    "Reads all of an image; exit status 0 when it is whole and sound, 1 when not.\n";

}  // namespace

Shown examine(Image image, std::string path, bool queues) {
  Shown shown;
  shown.path = std::move(path);
  shown.queues = queues;
  shown.sockets.resize(image.sockets.size());
  std::vector<std::uint16_t> skipped;
  for (std::size_t i = 0; i < image.sockets.size(); ++i) {
    ImageSocket& socket = image.sockets[i];
    ShownSocket& target = shown.sockets[i];
    try {
      target.record = decode_record(socket.record, skipped);
      add_unknown(shown.unknown, skipped);
      target.receive_queue = examine_queue(socket.receive_queue, queues, shown.unknown);
      target.send_queue = examine_queue(socket.send_queue, queues, shown.unknown);
      target.error_queue = examine_queue(socket.error_queue, queues, shown.unknown);
    } catch (const Error& error) {
      throw Error("socket " + std::to_string(i) + ": " + error.what(), error.error_number());
    }
    socket.record = {};
    socket.receive_queue = {};
    socket.send_queue = {};
    socket.error_queue = {};
  }
  for (const ImageProcess& process : image.processes) {
    for (const ImageFd& fd : process.fds) {
      shown.sockets[fd.socket].fds.emplace_back(process.pid, fd.number);
    }
  }
  shown.image = std::move(image);
  return shown;
}

int show_main(int argc, char** argv) {
  static constexpr option kOptions[] = {{"json", no_argument, nullptr, 'j'},
                                        {"queues", no_argument, nullptr, 'q'},
                                        {"help", no_argument, nullptr, 'h'},
                                        {nullptr, 0, nullptr, 0}};
  bool json = false;
  bool queues = false;
  optind = 0;  // glibc: start anew
  for (int c = 0; (c = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    if (c == 'h') return print(kShowUsage);
    if (c == '?') {
      std::fputs(kShowUsage, stderr);
      return kUsage;
    }
    (c == 'j' ? json : queues) = true;
  }
  if (argc - optind != 1) {
    std::fprintf(stderr, "udpcr: show takes one image, and %d are named\n%s", argc - optind,
                 kShowUsage);
    return kUsage;
  }
  try {
    const Shown shown = open_and_examine(argv[optind], queues);
    return print(json ? show_json(shown) : show_table(shown));
  } catch (const std::exception& error) {
    return fail(error);
  }
}

int verify_main(int argc, char** argv) {
  static constexpr option kOptions[] = {{"help", no_argument, nullptr, 'h'},
                                        {nullptr, 0, nullptr, 0}};
  optind = 0;
  for (int c = 0; (c = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    if (c == 'h') return print(kVerifyUsage);
    std::fputs(kVerifyUsage, stderr);
    return kUsage;
  }
  if (argc - optind != 1) {
    std::fprintf(stderr, "udpcr: verify takes one image, and %d are named\n%s", argc - optind,
                 kVerifyUsage);
    return kUsage;
  }
  try {
    const Shown shown = open_and_examine(argv[optind], false);
    std::size_t datagrams = 0;
    for (const ShownSocket& socket : shown.sockets) {
      datagrams += socket.receive_queue.datagrams + socket.send_queue.datagrams;
    }
    std::string line = printable(shown.path) + ": whole and sound, " +
                       std::to_string(shown.sockets.size()) + " sockets, " +
                       std::to_string(datagrams) + " datagrams";
    if (!shown.unknown.empty()) {
      line += ", " + std::to_string(shown.unknown.size()) +
              " kinds of attribute that this udpcr does not know";
    }
    return print(line + "\n");
  } catch (const std::exception& error) {
    return fail(error);
  }
}

}  // namespace udpcr::tool
