// SPDX-License-Identifier: LGPL-2.1-or-later
#include "security_label.hpp"

#include <sys/xattr.h>

#include <cerrno>

#include "errors.hpp"
#include "persist.hpp"

namespace udpcr {

std::string read_label(int fd) {
  // SELinux's and Smack's; AppArmor labels no sockets.
  for (const char* const name : {"security.selinux", "security.SMACK64"}) {
    char label[4096];
    const ssize_t size = persist([&] { return ::fgetxattr(fd, name, label, sizeof label); });
    // A kernel without the security module, and one that tells nobody.
    const bool absent = errno == ENODATA || errno == EOPNOTSUPP || errno == EPERM ||
                        errno == EACCES || errno == ENOSYS;
    if (size < 0 && !absent) fail("read the security label of fd " + std::to_string(fd), errno, "");
    if (size <= 0) continue;
    std::string text(label, static_cast<std::size_t>(size));
    if (text.back() == '\0') text.pop_back();
    if (!text.empty() && text.find('\0') == std::string::npos) return text;
  }
  return {};
}

}  // namespace udpcr
