// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A socket's own IPsec policy.
#include <linux/xfrm.h>

#include <cerrno>

#include "rows.hpp"

namespace fidelity {
namespace {

constexpr int kIpXfrmPolicy = 17;    // linux/in.h
constexpr int kIpv6XfrmPolicy = 35;  // linux/in6.h

xfrm_userpolicy_info block_all(const Kind& kind) {
  xfrm_userpolicy_info policy{};
  policy.sel.family = static_cast<std::uint16_t>(kind.family);
  policy.dir = XFRM_POLICY_OUT;
  policy.action = XFRM_POLICY_BLOCK;
  policy.lft.soft_byte_limit = policy.lft.hard_byte_limit = XFRM_INF;
  policy.lft.soft_packet_limit = policy.lft.hard_packet_limit = XFRM_INF;
  return policy;
}

}  // namespace

void add_policies(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    const bool v4 = kind.family == AF_INET;
    rows.push_back({std::string("option/XFRM_POLICY/") + kind.suffix, "policy", bound(kind),
                    [=](Trial& trial) {
                      const xfrm_userpolicy_info policy = block_all(kind);
                      const int done = ::setsockopt(trial.fd(), v4 ? SOL_IP : SOL_IPV6,
                                                    v4 ? kIpXfrmPolicy : kIpv6XfrmPolicy, &policy,
                                                    sizeof policy);
                      // Nobody here understands policies (net/xfrm/xfrm_state.c).
                      if (done != 0 && errno == EINVAL) throw Absent("no xfrm_user module");
                      if (done != 0) fail("XFRM_POLICY", errno);
                    },
                    [=](Trial& trial) {
                      const Endpoint to = at(kind.second, 9);
                      const ssize_t sent = ::sendto(trial.fd(), "x", 1, 0, to.get(), to.size);
                      trial.answer("sent", sent < 0 ? std::strerror(errno) : "1");
                    }});
  }
}

}  // namespace fidelity
