// SPDX-License-Identifier: LGPL-2.1-or-later
#include "text_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <udpcr/udpcr.hpp>

#include "errors.hpp"
#include "persist.hpp"

namespace udpcr {

std::string read_text(const std::string& path) {
  const auto is_gone = [](int error) { return error == ENOENT || error == ESRCH; };
  const UniqueFd file(persist([&path] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!file) {
    if (is_gone(errno) || errno == EACCES || errno == EPERM) return {};
    fail("read " + path, errno, "");
  }
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t got = persist([&] { return ::read(file.get(), part, sizeof part); });
    if (got < 0 && is_gone(errno)) return {};
    if (got < 0) fail("read " + path, errno, "");
    if (got == 0) return text;
    text.append(part, static_cast<std::size_t>(got));
  }
}

std::string read_text_or_nothing(const std::string& path) {
  try {
    return read_text(path);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace udpcr
