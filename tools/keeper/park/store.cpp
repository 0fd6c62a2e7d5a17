// SPDX-License-Identifier: LGPL-2.1-or-later
#include "store.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "fresh_socket.hpp"
#include "kernel_numbers.hpp"

namespace udpcr::keeper {

namespace {

// A program binds many in a row.
constexpr std::chrono::milliseconds kAskAfter{100};

int number_option(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  getsockopt(fd, SOL_SOCKET, name, &value, &size);
  return value;
}

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
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0) {
    park.local = Address::from_sockaddr(name);
  }
  park.protocol = std::uint16_t(number_option(socket.get(), SO_PROTOCOL));
  park.reuseport = number_option(socket.get(), SO_REUSEPORT) != 0;
  park.receive_buffer = receive_buffer_of(socket.get());
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

std::uint32_t receive_buffer_of(int fd) noexcept {
  return std::uint32_t(std::max(number_option(fd, SO_RCVBUF), 0));
}

std::uint32_t queue_bytes_of(int fd) noexcept {
  std::uint32_t info[kMeminfoCount] = {};
  socklen_t size = sizeof info;
  if (getsockopt(fd, SOL_SOCKET, kSoMeminfo, info, &size) != 0) return 0;
  return info[kMeminfoRmem];
}

}  // namespace udpcr::keeper
