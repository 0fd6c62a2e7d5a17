// SPDX-License-Identifier: LGPL-2.1-or-later
#include "file_owner.hpp"

#include <fcntl.h>

#include <cerrno>

#include "errors.hpp"

namespace udpcr {

FileOwner read_owner(int fd) noexcept {
  FileOwner owner;
  f_owner_ex who{};
  if (::fcntl(fd, F_GETOWN_EX, &who) == 0 && who.pid != 0) {
    owner.type = static_cast<std::uint32_t>(who.type);
    owner.pid = static_cast<std::uint32_t>(who.pid);
  }
  if (const int signal = ::fcntl(fd, F_GETSIG); signal > 0) {
    owner.signal = static_cast<std::uint32_t>(signal);
  }
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
