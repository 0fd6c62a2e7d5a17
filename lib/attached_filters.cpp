// SPDX-License-Identifier: LGPL-2.1-or-later
#include "attached_filters.hpp"

#include <linux/filter.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "errors.hpp"
#include "persist.hpp"

namespace udpcr {
namespace {

const SocketOption* find(const SocketRecord& record, int name) {
  for (const SocketOption& option : record.options) {
    if (option.level == SOL_SOCKET && option.name == name) return &option;
  }
  return nullptr;
}

}  // namespace

bool is_attached_filter(const SocketOption& option) noexcept {
  return option.level == SOL_SOCKET &&
         (option.name == SO_ATTACH_FILTER || option.name == SO_ATTACH_REUSEPORT_CBPF);
}

void read_filter(int fd, SocketRecord& record, std::vector<Loss>& losses) {
  if (find(record, SO_ATTACH_FILTER) != nullptr) return;
  socklen_t count = 0;  // of instructions, not of bytes
  if (persist([&] { return ::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &count); }) != 0) {
    if (errno != EACCES) fail("read the filter of fd " + std::to_string(fd), errno, "");
    // An eBPF program has no classic form to give: EACCES (net/core/filter.c,
    // sk_get_filter).
    losses.push_back(
        {"filter", "an eBPF program is attached, which cannot be read", "attach it again"});
    return;
  }
  if (count == 0) return;
  Bytes code(count * sizeof(sock_filter));
  const auto read = [&] {
    return ::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, code.data(), &count);
  };
  if (persist(read) != 0) {
    losses.push_back({"filter", "it cannot be read: " + errno_text(errno), "attach it again"});
    return;
  }
  record.options.push_back({SOL_SOCKET, SO_ATTACH_FILTER, std::move(code)});
}

void attach_filter(int fd, const SocketRecord& record, int name, std::vector<Loss>& losses) {
  const SocketOption* const option = find(record, name);
  if (option == nullptr) return;
  const std::size_t count = option->value.size() / sizeof(sock_filter);
  int error = EINVAL;
  if (count != 0 && count <= BPF_MAXINSNS && count * sizeof(sock_filter) == option->value.size()) {
    std::vector<sock_filter> code(count);
    std::memcpy(code.data(), option->value.data(), option->value.size());
    const sock_fprog program{static_cast<unsigned short>(count), code.data()};
    if (::setsockopt(fd, SOL_SOCKET, name, &program, sizeof program) == 0) return;
    error = errno;
  }
  losses.push_back({name == SO_ATTACH_FILTER ? "filter" : "reuseport steering",
                    "a BPF program of " + std::to_string(option->value.size()) +
                        " bytes could not be attached: " + errno_text(error),
                    error == ENOMEM ? "raise net.core.optmem_max" : "attach it again"});
}

}  // namespace udpcr
