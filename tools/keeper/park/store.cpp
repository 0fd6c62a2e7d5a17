// SPDX-License-Identifier: LGPL-2.1-or-later
#include "store.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "fresh_socket.hpp"
#include "kernel_numbers.hpp"
#include "options.hpp"
#include "persist.hpp"
#include "socket_address.hpp"

namespace udpcr::keeper {

namespace {

// A program binds many in a row.
constexpr std::chrono::milliseconds kAskAfter{100};

SocketName name_of(const Park& park) { return {park.inode, {}, park.cookie}; }

}  // namespace

ParkStore::ParkStore(EngineChoice engine) {
  if (engine == EngineChoice::userspace) return;
  module_ = std::make_unique<ModuleClient>();
  if (!module_->available() || !module_->parks()) module_.reset();
}

Park ParkStore::park(const ParkKey& key, UniqueFd socket, std::string& fallen_back) {
  Park park;
  park.key = key;
  struct stat status {};
  if (fstat(socket.get(), &status) != 0) throw Error("fstat of a socket to park", errno);
  park.inode = status.st_ino;
  park.cookie = read_cookie(socket.get(), kSoCookie);
  park.local = local_address(socket.get());
  park.protocol = std::uint16_t(require_number(socket.get(), SOL_SOCKET, SO_PROTOCOL));
  park.reuseport = require_number(socket.get(), SOL_SOCKET, SO_REUSEPORT) != 0;
  park.receive_buffer =
      std::uint32_t(std::max(require_number(socket.get(), SOL_SOCKET, SO_RCVBUF), 0));
  if (module_) {
    try {
      module_->park({park.inode, socket.get(), park.cookie}, key.bytes(),
                    std::max(key.seconds, 1U));
      if (manager_) manager_->drop(park.inode);
      return park;
    } catch (const Error& error) {
      fallen_back = error.what();
    }
  }
  park.fd = std::move(socket);
  give_to_manager(park, fallen_back);
  return park;
}

void ParkStore::give_to_manager(Park& park, std::string& why_not) {
  if (!manager_ && !manager_sought_) {
    std::string why;
    manager_ = FdStore::open(false, why);
    if (why_not.empty()) why_not = why;
  }
  manager_sought_ = true;
  if (!manager_) return;
  park.stored = manager_->keep(park.key, park.inode, park.fd.get());
  unasked_since_ = std::chrono::steady_clock::now();
}

void ParkStore::know_stored(const ParkKey& key, int socket) {
  struct stat status {};
  std::string why;
  if (!manager_) manager_ = FdStore::open(true, why);
  if (manager_ && fstat(socket, &status) == 0) manager_->know(key, status.st_ino);
}

bool ParkStore::manager_keeps_all() {
  unasked_since_.reset();
  return manager_ && manager_->keeps_all();
}

int ParkStore::unasked() const {
  using namespace std::chrono;
  if (!unasked_since_) return -1;
  const auto waited = duration_cast<milliseconds>(steady_clock::now() - *unasked_since_);
  return int(std::max(kAskAfter - waited, 0ms).count());
}

void ParkStore::release(const Park& park) {
  if (park.stored && manager_) manager_->drop(park.inode);
  if (!park.in_module()) return;
  try {
    module_->unpark(name_of(park));
  } catch (const Error&) {
    // Its time was over, or somebody else has claimed it.
  }
}

std::uint32_t queue_bytes_of(int fd) noexcept {
  std::uint32_t info[kMeminfoCount] = {};
  socklen_t size = sizeof info;
  if (persist([&] { return getsockopt(fd, SOL_SOCKET, kSoMeminfo, info, &size); }) != 0) return 0;
  return info[kMeminfoRmem];
}

}  // namespace udpcr::keeper
