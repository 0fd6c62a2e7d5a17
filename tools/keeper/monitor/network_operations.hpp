// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <udpcr/udpcr.hpp>

#include "module_requests.hpp"
#include "operations.hpp"
#include "raw_packets.hpp"
#include "rights.hpp"

namespace udpcr::keeper::monitor {

// What is asked of the monitor, as it came.
struct Asked {
  const Request& request;
  ByteView payload;
  const std::vector<UniqueFd>& fds;  // without the namespace

  [[nodiscard]] int fd(std::size_t place) const {
    return place < fds.size() ? fds[place].get() : -1;
  }
};

struct Result {
  int error = 0;
  int value = 0;
  std::uint64_t count = 0;
  UniqueFd fd;
};

// Of sockets.  Each checks what it is shown before it does anything; EPERM: it is
// none of the fixed list.
class NetworkOperations {
 public:
  // The image that parked sockets are for; once.
  void set_image(const std::string& path);
  // In network namespace `place`; -1: our own.
  Result serve(const Asked& asked, int place);

 private:
  Result open_socket(const Asked& asked);
  Result open_proc_net(const Asked& asked);
  Result set_option(const Asked& asked);
  Result bind(const Asked& asked);
  Result send_more(const Asked& asked);
  Result send_raw(const Asked& asked);
  Result claim(const Asked& asked);
  Result send_to_module(const Asked& asked);
  bool ready_to_send(int family, std::uint64_t cookie);

  PrivilegedCalls& rights_ = rights();
  UniqueFd raw_;
  std::optional<RawCheck> check_;
  int raw_family_ = 0;
  std::uint64_t raw_place_ = 0;  // SO_NETNS_COOKIE
  std::uint64_t image_ = 0;      // its hash
  ModuleRequests module_;
};

}  // namespace udpcr::keeper::monitor
