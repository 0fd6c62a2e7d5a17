// SPDX-License-Identifier: LGPL-2.1-or-later
#include "file_owner.hpp"

#include <fcntl.h>

#include <cerrno>

#include "errors.hpp"
#include "persist.hpp"

namespace udpcr {

FileOwner read_owner(int fd) {
  FileOwner owner;
  f_owner_ex who{};
  if (persist([&] { return ::fcntl(fd, F_GETOWN_EX, &who); }) != 0) {
    fail("read the owner (F_GETOWN_EX) of fd " + std::to_string(fd), errno, "");
  }
  if (who.pid != 0) {
    owner.type = static_cast<std::uint32_t>(who.type);
    owner.pid = static_cast<std::uint32_t>(who.pid);
  }
  const int signal = persist([fd] { return ::fcntl(fd, F_GETSIG); });
  if (signal < 0) fail("read the signal (F_GETSIG) of fd " + std::to_string(fd), errno, "");
  owner.signal = static_cast<std::uint32_t>(signal);
  return owner;
}

void set_owner_signal(int fd, const FileOwner& owner, std::vector<Loss>& losses) {
  if (owner.signal == 0 || ::fcntl(fd, F_SETSIG, static_cast<int>(owner.signal)) == 0) return;
  losses.push_back({"owner",
                    "signal " + std::to_string(owner.signal) +
                        " was to tell of input (F_SETSIG): " + errno_text(errno),
                    "let the program set it again"});
}

}  // namespace udpcr
