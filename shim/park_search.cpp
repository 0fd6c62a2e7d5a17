// SPDX-License-Identifier: LGPL-2.1-or-later
#include "park_search.h"

#include <string.h>
#include <sys/un.h>
#include <udpcr/image_header.h>

#include "keeper_service.h"
#include "sys.h"
#include "text.h"
#include "wire.h"

namespace udpcr {

namespace {

// An abstract name (unix(7)).
bool listens(int probe, const Text<64>& name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path + 1, name.c_str(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  // EAGAIN: it has no room for one more now.
  return syscall(SYS_connect, probe, &address, size) == 0 || errno != ECONNREFUSED;
}

bool keeper_has_some(uint64_t image) {
  const int probe = static_cast<int>(
      syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe < 0) return false;
  bool found = false;
  for (unsigned number = 0; number < wire::kParkNames && !found; ++number) {
    Text<64> name;
    name << wire::kParkName;
    for (int shift = 60; shift >= 0; shift -= 4) name << "0123456789abcdef"[image >> shift & 0xf];
    name << '/' << number;
    found = listens(probe, name);
  }
  sys::close(probe);
  return found;
}

// The module's references: of parked sockets, and of callers just now.
bool module_has_some() {
  const int file = sys::open("/sys/module/udpcr/refcnt", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char text[16] = {};
  const ssize_t size = sys::read(file, text, sizeof text - 1);
  sys::close(file);
  return size > 0 && strcmp(text, "0\n") != 0;
}

}  // namespace

bool may_be_parked(const Settings& settings) {
  const KeepErrno keep;
  const uint64_t image =
      udpcr_identity_hash(UDPCR_HASH_START, settings.image, strlen(settings.image));
  return keeper_has_some(image) || module_has_some() ||
         (settings.keeper[0] != '\0' && service_has_parked(settings, image));
}

}  // namespace udpcr
