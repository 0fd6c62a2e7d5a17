// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checkpoint_inode.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "image_report.hpp"
#include "keeper/worker.hpp"
#include "module_client.hpp"
#include "socket_owners.hpp"

namespace udpcr {
namespace {

// An orphan has had no number anywhere.  The first one behind stdin, stdout and
// stderr, where inetd-like programs look (UDPCR_FDS=inherit).
constexpr int kOrphanFd = 3;

// The program that has the socket may take the image back with any UDPCR_MATCH,
// others and an orphan's heir with UDPCR_MATCH=any.
void name_program(Image& image, std::uint64_t inode) {
  const SocketOwners owners;
  const auto& all = owners.of(inode);
  if (all.empty()) {
    image.processes = {{0, {{kOrphanFd, 0, 0}}}};
    return;
  }
  image.executable = executable_of(all.front().pid);
  image.arguments = arguments_of(all.front().pid);
  for (const SocketOwner& owner : all) {
    if (image.processes.empty() || image.processes.back().pid != owner.pid) {
      image.processes.push_back({owner.pid, {}});
    }
    image.processes.back().fds.push_back(
        {owner.fd, owner.cloexec ? std::uint32_t{FD_CLOEXEC} : 0, 0});
  }
}

}  // namespace

int checkpoint_inode(std::uint64_t inode, std::string path) {
  if (path.empty()) path = "./socket-" + std::to_string(inode) + ".udpcr";
  ModuleClient client;
  if (!client.available()) {
    throw Error(std::string("a socket can be checkpointed by its inode only with the module: ") +
                    client.absence().what(),
                client.absence().error_number());
  }
  Image image;
  // Before we have it open ourselves.
  name_program(image, inode);
  const UniqueFd fd = client.open_socket({inode, std::nullopt, std::nullopt});
  const auto engine = make_engine(UseEngine::module);
  SocketState state = engine->capture(fd.get(), {});
  describe_machine(image, engine->name());
  image.sockets.push_back({encode_record(state.record), std::move(state.receive_queue),
                           std::move(state.send_queue), std::move(state.losses),
                           std::move(state.error_queue)});

  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const UniqueFd opened(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) {
    throw Error("image " + path + ": folder " + folder +
                    " cannot be opened: " + std::strerror(errno) + "; make it first",
                errno);
  }
  ImageFile(opened.get(), name, path).write(serialize_image(image));

  std::puts(summary_line(image, path).c_str());
  const std::vector<std::string> losses = loss_lines(image);
  for (const std::string& line : losses) std::puts(line.c_str());
  return int(losses.empty() ? keeper::Outcome::kept : keeper::Outcome::kept_in_part);
}

}  // namespace udpcr
