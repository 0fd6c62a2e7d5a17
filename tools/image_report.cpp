// SPDX-License-Identifier: LGPL-2.1-or-later
#include "image_report.hpp"

#include <sys/utsname.h>

#include <ctime>

#include "text_file.hpp"

namespace udpcr {
namespace {

// "fd 5 (127.0.0.1:53)"
std::string describe(const Image& image, std::size_t socket) {
  std::vector<std::uint16_t> unknown;
  const SocketRecord record = decode_record(image.sockets[socket].record, unknown);
  for (const ImageProcess& process : image.processes) {
    for (const ImageFd& fd : process.fds) {
      if (fd.socket == socket) {
        return "fd " + std::to_string(fd.number) + " (" + to_string(record.local) + ")";
      }
    }
  }
  return to_string(record.local);
}

std::string loss_line(const std::string& whose, const Loss& loss) {
  return "not kept: " + whose + loss.what + ": " + loss.why +
         (loss.remedy.empty() ? "" : "; " + loss.remedy);
}

}  // namespace

std::string boot_id() {
  const std::string text = read_text("/proc/sys/kernel/random/boot_id");
  return text.substr(0, text.find('\n'));
}

void describe_machine(Image& image, std::string_view engine) {
  utsname machine{};
  uname(&machine);
  image.host = machine.nodename;
  image.kernel = machine.release;
  image.boot_id = boot_id();
  image.engine = engine;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  image.created = std::uint64_t(now.tv_sec) * 1'000'000'000 + std::uint64_t(now.tv_nsec);
}

std::string summary_line(const Image& image, const std::string& path) {
  std::size_t datagrams = 0;
  for (const ImageSocket& socket : image.sockets) datagrams += socket.receive_queue.count();
  return "image " + path + ": " + std::to_string(image.sockets.size()) +
         (image.sockets.size() == 1 ? " socket, " : " sockets, ") + std::to_string(datagrams) +
         (datagrams == 1 ? " queued datagram" : " queued datagrams");
}

std::vector<std::string> loss_lines(const Image& image) {
  std::vector<std::string> lines;
  for (const Loss& loss : image.losses) lines.push_back(loss_line("", loss));
  for (std::size_t i = 0; i < image.sockets.size(); ++i) {
    for (const Loss& loss : image.sockets[i].losses) {
      lines.push_back(loss_line(describe(image, i) + ": ", loss));
    }
  }
  return lines;
}

}  // namespace udpcr
