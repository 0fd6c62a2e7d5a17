// SPDX-License-Identifier: LGPL-2.1-or-later
#include "namespace_engine.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>

#include "errors.hpp"
#include "fresh_socket.hpp"
#include "kernel_numbers.hpp"
#include "rights.hpp"

namespace udpcr::keeper {

namespace {

constexpr const char* kFolder = "/run/netns";

std::uint64_t cookie_of_home() {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return fd ? read_cookie(fd.get(), kSoNetnsCookie) : 0;
}

// The name under /run/netns (ip-netns(8)); empty when it has none.
std::string name_of(int namespace_fd) {
  struct stat wanted {};
  if (fstat(namespace_fd, &wanted) != 0) return {};
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(kFolder), closedir);
  while (const dirent* const entry = folder ? readdir(folder.get()) : nullptr) {
    struct stat found {};
    if (fstatat(dirfd(folder.get()), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
        found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino) {
      return entry->d_name;
    }
  }
  return {};
}

bool is_namespace(int fd) {
  struct statfs system {};
  return fstatfs(fd, &system) == 0 && system.f_type == NSFS_MAGIC;
}

}  // namespace

NamespaceEngine::NamespaceEngine(UseEngine choice)
    : choice_(choice), home_(make_engine(choice)), home_cookie_(cookie_of_home()) {}

int NamespaceEngine::home_fd() {
  if (!home_fd_) home_fd_ = UniqueFd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home_fd_) fail("open the keeper's own network namespace", errno, "mount /proc");
  return home_fd_.get();
}

bool NamespaceEngine::is_home(int fd) {
  struct stat here {};
  struct stat there {};
  return fstat(home_fd(), &here) == 0 && fstat(fd, &there) == 0 && here.st_dev == there.st_dev &&
         here.st_ino == there.st_ino;
}

NamespaceEngine::Place& NamespaceEngine::place_at(UniqueFd fd) {
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) fail("look at a network namespace", errno, "");
  const auto known = std::find_if(places_.begin(), places_.end(), [&](const Place& place) {
    return place.device == status.st_dev && place.inode == status.st_ino;
  });
  if (known != places_.end()) return *known;
  std::unique_ptr<Engine> engine;
  {
    const Visit visit(fd.get());
    if (!UniqueFd(rights().socket(AF_INET, SOCK_DGRAM, 0))) {
      fail("enter the network namespace", errno, "start the program with CAP_SYS_ADMIN");
    }
    engine = make_engine(choice_);
  }
  places_.push_back({status.st_dev, status.st_ino, std::move(fd), std::move(engine)});
  return places_.back();
}

NamespaceEngine::Place* NamespaceEngine::place_of_socket(int fd) {
  const std::uint64_t cookie = read_cookie(fd, kSoNetnsCookie);
  if (cookie == 0 || cookie == home_cookie_) return nullptr;
  // CAP_NET_ADMIN in the namespace (net/socket.c, sock_ioctl).
  UniqueFd place(rights().place_of(fd));
  if (!place) return nullptr;
  try {
    return &place_at(std::move(place));
  } catch (const Error&) {
    return nullptr;  // the engine at home has a Loss for it
  }
}

SocketState NamespaceEngine::capture(int fd, const CaptureOptions& options) {
  Place* const place = place_of_socket(fd);
  if (place == nullptr) return home_->capture(fd, options);
  SocketState state;
  {
    const Visit visit(place->fd.get());
    state = place->engine->capture(fd, options);
  }
  state.record.netns = name_of(place->fd.get());
  if (state.record.netns.empty()) {
    state.losses.push_back({"network namespace",
                            "the one that it lives in has no name in /run/netns",
                            "name it with `ip netns attach NAME PID`"});
  }
  return state;
}

MessageStream NamespaceEngine::take_rest(int fd, std::size_t already, QueueEnd end) {
  Place* const place = place_of_socket(fd);
  if (place == nullptr) return home_->take_rest(fd, already, end);
  const Visit visit(place->fd.get());
  return place->engine->take_rest(fd, already, end);
}

void NamespaceEngine::settle_rest(bool stored) {
  home_->settle_rest(stored);
  for (Place& place : places_) place.engine->settle_rest(stored);
}

Restored NamespaceEngine::restore(const SocketState& state, const RestoreOptions& options) {
  const SocketRecord& record = state.record;
  if (record.netns.empty()) {
    const bool was_elsewhere =
        std::any_of(state.losses.begin(), state.losses.end(),
                    [](const Loss& loss) { return loss.what == "network namespace"; });
    if (!was_elsewhere) return home_->restore(state, options);
    throw Error("cannot restore the socket with address " + to_string(record.local) +
                ": it lived in another network namespace, whose name is not known; name it with "
                "`ip netns attach NAME PID` before the checkpoint");
  }
  const std::string path = std::string(kFolder) + "/" + record.netns;
  const std::string what = "restore the socket with address " + to_string(record.local) +
                           " in network namespace " + record.netns;
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd) fail(what, errno, "create it first: ip netns add " + record.netns);
  if (!is_namespace(fd.get())) throw Error("cannot " + what + ": " + path + " is none; remove it");
  if (is_home(fd.get())) return home_->restore(state, options);
  Place* place = nullptr;
  try {
    place = &place_at(std::move(fd));
  } catch (const Error& error) {
    throw Error("cannot " + what + ": " + error.what(), error.error_number());
  }
  const Visit visit(place->fd.get());
  // What others open is in their own namespace.
  RestoreOptions here = options;
  here.open_socket = nullptr;
  return place->engine->restore(state, here);
}

}  // namespace udpcr::keeper
