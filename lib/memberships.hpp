// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The multicast groups that a socket is a member of, with their source filters.
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// Reads them without the kernel module, for sockets of the network namespace in
// which of() is called first.
class Memberships {
 public:
  // In the order in which they were joined, as far as the kernel tells it: by
  // family and interface.  Appends a Loss for IPv6 anycast addresses, of which it
  // tells only that some socket has them.
  std::vector<Membership> of(int fd, int family, std::vector<Loss>& losses);

 private:
  // Of which some socket of the namespace, or the kernel, is a member.
  struct Table {
    UniqueFd file;  // /proc/net/igmp, /proc/net/igmp6, /proc/net/anycast6
    std::string text;
    std::vector<Membership> groups;  // as in `text`, oldest first
  };
  Table ipv4_;
  Table ipv6_;
  Table anycast_;
};

// Joins the groups in their order.  An interface is meant by its name; without
// one it was gone already.  Appends a Loss for each group that cannot be joined.
void join_groups(int fd, const std::vector<Membership>& groups, std::vector<Loss>& losses);

// "member of 239.1.2.3 on eth0, for 2 sources"
std::string describe(const Membership& member);

}  // namespace udpcr
