// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Options that the kernel does not tell: what they do is looked at.
#include <netinet/in.h>
// After the C library's, which it gives way to.
#include <linux/in6.h>

#include <cerrno>

#include "numbers.hpp"
#include "rows.hpp"
#include "wire.hpp"

namespace fidelity {
namespace {

constexpr unsigned kDiscard = 9;
constexpr std::uint32_t kLabel = 0x12345;

Step open_any_v6() {
  return [](Trial& trial) {
    trial.make(AF_INET6);
    bind_to(trial.fd(), at("::", trial.port()));
  };
}

void tell_what_leaves(Trial& trial, const char* destination, std::size_t size) {
  const Endpoint to = at(destination, kDiscard);
  const std::string payload = bytes_of(size, 'b');
  const ssize_t sent = ::sendto(trial.fd(), payload.data(), size, 0, to.get(), to.size);
  trial.answer("sent", sent < 0 ? std::strerror(errno) : std::to_string(sent));
  std::string all;
  for (const Frame& frame : frames(trial.port())) {
    all += frame.source + "," + std::to_string(frame.ip_size) + ";";
  }
  trial.answer("left", all);
}

int lease(int fd, std::uint8_t action, std::uint16_t flags) {
  in6_flowlabel_req request{};
  request.flr_dst = reinterpret_cast<const sockaddr_in6&>(at(kV6.right, 0).name).sin6_addr;
  request.flr_label = htonl(kLabel);
  request.flr_action = action;
  request.flr_share = IPV6_FL_S_EXCL;
  request.flr_flags = flags;
  request.flr_linger = 60;
  return ::setsockopt(fd, SOL_IPV6, kIpv6FlowlabelMgr, &request, sizeof request) == 0 ? 0 : errno;
}

}  // namespace

void add_behaviours(Rows& rows) {
  rows.push_back({"option/IPV6_PKTINFO/v6", "IPV6_PKTINFO", open_any_v6(),
                  [](Trial& trial) {
                    // Its address is not used (net/ipv6/udp.c, udpv6_sendmsg, Linux 6.1).
                    in6_pktinfo info{};
                    info.ipi6_ifindex = interface_index("lo");
                    set(trial.fd(), SOL_IPV6, IPV6_PKTINFO, info, "IPV6_PKTINFO");
                  },
                  [](Trial& trial) { tell_what_leaves(trial, kV6.right, 10); }});
  rows.push_back({"option/IPV6_MTU/v6", "IPV6_MTU", open_any_v6(),
                  [](Trial& trial) { set(trial.fd(), SOL_IPV6, IPV6_MTU, 1300, "IPV6_MTU"); },
                  [](Trial& trial) { tell_what_leaves(trial, kV6.right, 3000); }});
  rows.push_back({"option/IPV6_FLOWLABEL_MGR/v6", "flow label", open_any_v6(),
                  [](Trial& trial) {
                    const int error =
                        lease(trial.fd(), IPV6_FL_A_GET, IPV6_FL_F_CREATE | IPV6_FL_F_EXCL);
                    if (error != 0) fail("lease of a flow label", error);
                  },
                  [](Trial& trial) {
                    const int error = lease(trial.fd(), IPV6_FL_A_RENEW, 0);
                    trial.answer("renew", error == 0 ? "0" : std::strerror(error));
                  }});
}

}  // namespace fidelity
