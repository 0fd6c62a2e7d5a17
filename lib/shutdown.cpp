// SPDX-License-Identifier: LGPL-2.1-or-later
#include "shutdown.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "errors.hpp"

namespace udpcr {

void shut_down(int fd, unsigned state, std::vector<Loss>& losses) {
  if (state == 0) return;
  // SHUT_RD, SHUT_WR and SHUT_RDWR are one less.  A socket without a peer says
  // ENOTCONN and is shut down all the same (net/ipv4/af_inet.c, inet_shutdown).
  if (state <= (kRcvShutdown | kSendShutdown) &&
      (::shutdown(fd, static_cast<int>(state) - 1) == 0 || errno == ENOTCONN)) {
    return;
  }
  losses.push_back({"shutdown",
                    std::string("it was shut down for ") +
                        (state == kRcvShutdown    ? "receiving"
                         : state == kSendShutdown ? "sending"
                                                  : "receiving and sending") +
                        ": " + errno_text(errno),
                    "let the program call shutdown(2) again"});
}

}  // namespace udpcr
