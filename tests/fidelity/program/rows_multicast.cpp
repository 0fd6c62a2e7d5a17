// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Memberships with their filters, and where multicast goes out.
#include <netinet/udp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "rows.hpp"
#include "wire.hpp"

namespace fidelity {
namespace {

constexpr const char* kNamed = "membership";

int level(const Kind& kind) { return kind.family == AF_INET ? SOL_IP : SOL_IPV6; }

void join(Trial& trial, const Kind& kind, int option, const std::string& group,
          const char* interface, const std::string& source = {}) {
  group_source_req request{};
  request.gsr_interface = interface_index(interface);
  request.gsr_group = at(group, 0).name;
  if (!source.empty()) request.gsr_source = at(source, 0).name;
  const std::size_t size = source.empty() ? sizeof(group_req) : sizeof request;
  if (source.empty()) {
    group_req plain{};
    plain.gr_interface = request.gsr_interface;
    plain.gr_group = request.gsr_group;
    return set(trial.fd(), level(kind), option, plain, "join of a group");
  }
  set(trial.fd(), level(kind), option, &request, static_cast<socklen_t>(size), "filter of a group");
}

// Mode and sources, as the kernel tells them.
std::string filter_of(int fd, const Kind& kind, const std::string& group, const char* interface) {
  constexpr unsigned kRoom = 16;
  alignas(group_filter) char room[GROUP_FILTER_SIZE(kRoom)] = {};
  auto* filter = reinterpret_cast<group_filter*>(room);
  filter->gf_interface = interface_index(interface);
  filter->gf_group = at(group, 0).name;
  filter->gf_numsrc = kRoom;
  socklen_t size = sizeof room;
  if (::getsockopt(fd, level(kind), MCAST_MSFILTER, filter, &size) != 0)
    return std::strerror(errno);
  std::vector<std::string> sources;
  for (unsigned i = 0; i < filter->gf_numsrc && i < kRoom; ++i) {
    Endpoint source;
    std::memcpy(&source.name, &filter->gf_slist[i], sizeof source.name);
    sources.push_back(host(source));
  }
  std::sort(sources.begin(), sources.end());
  std::string out = filter->gf_fmode == MCAST_INCLUDE ? "include" : "exclude";
  for (const std::string& source : sources) out += "," + source;
  return out;
}

// Who is heard of three senders in the group.
std::string heard(Trial& trial, const Kind& kind, const std::string& group) {
  for (const char* source : {kind.right, kind.source, kind.source2}) {
    Packet packet;
    packet.source = source;
    packet.destination = group;
    packet.source_port = 4321;
    packet.destination_port = trial.port();
    packet.payload = source;
    send_packet(packet);
  }
  settle();
  std::string all;
  while (auto got = receive(trial.fd())) all += got->payload + ";";
  return all;
}

struct Member {
  int option;
  std::string group;
  const char* interface;
  std::string source;
};

void add(Rows& rows, const Kind& kind, const std::string& name,
         const std::vector<Member>& members) {
  rows.push_back({"multicast/" + name + "/" + kind.suffix, kNamed,
                  [=](Trial& trial) {
                    trial.make(kind.family);
                    bind_to(trial.fd(), at(kind.any, trial.port()));
                  },
                  [=](Trial& trial) {
                    for (const Member& one : members) {
                      join(trial, kind, one.option, one.group, one.interface, one.source);
                    }
                  },
                  [=](Trial& trial) {
                    for (const Member& one : members) {
                      trial.answer(one.group + "@" + one.interface,
                                   filter_of(trial.fd(), kind, one.group, one.interface));
                    }
                    trial.answer("heard", heard(trial, kind, members[0].group));
                  }});
}

void add_memberships(Rows& rows, const Kind& kind) {
  const std::string first = kind.group;
  const std::string second = kind.family == AF_INET ? "239.8.8.8" : "ff15::8:8";
  add(rows, kind, "any_source", {{MCAST_JOIN_GROUP, first, "left", ""}});
  add(rows, kind, "two_groups",
      {{MCAST_JOIN_GROUP, first, "left", ""}, {MCAST_JOIN_GROUP, second, "left", ""}});
  add(rows, kind, "two_interfaces",
      {{MCAST_JOIN_GROUP, first, "left", ""}, {MCAST_JOIN_GROUP, first, "lo", ""}});
  add(rows, kind, "include",
      {{MCAST_JOIN_SOURCE_GROUP, first, "left", kind.right},
       {MCAST_JOIN_SOURCE_GROUP, first, "left", kind.source}});
  add(rows, kind, "exclude",
      {{MCAST_JOIN_GROUP, first, "left", ""},
       {MCAST_BLOCK_SOURCE, first, "left", kind.right},
       {MCAST_BLOCK_SOURCE, first, "left", kind.source2}});
  add(rows, kind, "mixed",
      {{MCAST_JOIN_GROUP, first, "left", ""},
       {MCAST_JOIN_SOURCE_GROUP, second, "left", kind.source},
       {MCAST_JOIN_GROUP, second, "lo", ""}});
}

// Where a datagram to the group goes out: by the link, from which address.
void add_outgoing(Rows& rows, const Kind& kind, const std::string& name, const std::string& named,
                  const Step& set_up) {
  rows.push_back({"multicast/" + name + "/" + kind.suffix, named,
                  [=](Trial& trial) {
                    trial.make(kind.family);
                    bind_to(trial.fd(), at(kind.any, trial.port()));
                  },
                  set_up,
                  [=](Trial& trial) {
                    const Endpoint to = at(kind.group, 1234);
                    const ssize_t sent = ::sendto(trial.fd(), "out", 3, 0, to.get(), to.size);
                    trial.answer("sent", sent < 0 ? std::strerror(errno) : "3");
                    const std::vector<Frame> seen = frames(trial.port());
                    trial.answer("left", static_cast<long long>(seen.size()));
                    for (const Frame& frame : seen) {
                      trial.answer("from", frame.source);
                      trial.answer("ttl", frame.ttl);
                    }
                  }});
}

void add_interfaces(Rows& rows) {
  add_outgoing(rows, kV4, "if_by_index", "IP_MULTICAST_IF", [](Trial& trial) {
    ip_mreqn request{};
    request.imr_ifindex = static_cast<int>(interface_index("left"));
    set(trial.fd(), SOL_IP, IP_MULTICAST_IF, request, "IP_MULTICAST_IF");
  });
  add_outgoing(rows, kV4, "if_by_address", "IP_MULTICAST_IF", [](Trial& trial) {
    const in_addr own = reinterpret_cast<const sockaddr_in&>(at(kV4.left, 0).name).sin_addr;
    set(trial.fd(), SOL_IP, IP_MULTICAST_IF, own, "IP_MULTICAST_IF");
  });
  add_outgoing(rows, kV4, "if_by_both", "IP_MULTICAST_IF", [](Trial& trial) {
    ip_mreqn request{};
    request.imr_ifindex = static_cast<int>(interface_index("left"));
    request.imr_address = reinterpret_cast<const sockaddr_in&>(at(kV4.second, 0).name).sin_addr;
    set(trial.fd(), SOL_IP, IP_MULTICAST_IF, request, "IP_MULTICAST_IF");
  });
  const auto index_option = [&](const Kind& kind, const char* name, int at_level, int option) {
    add_outgoing(rows, kind, name, "MULTICAST_IF|UNICAST_IF", [=](Trial& trial) {
      const unsigned index = interface_index("left");
      set(trial.fd(), at_level, option,
          option == IP_UNICAST_IF || option == IPV6_UNICAST_IF ? htonl(index) : index, name);
    });
    const Step out = rows.back().observe;
    rows.back().observe = [=](Trial& trial) {
      int number = get_number(trial.fd(), at_level, option);
      if (option == IP_UNICAST_IF || option == IPV6_UNICAST_IF) {
        number = static_cast<int>(ntohl(static_cast<std::uint32_t>(number)));
      }
      trial.answer("interface", interface_name(static_cast<unsigned>(number)));
      out(trial);
    };
  };
  index_option(kV6, "if_by_index", SOL_IPV6, IPV6_MULTICAST_IF);
  index_option(kV4, "unicast_if", SOL_IP, IP_UNICAST_IF);
  index_option(kV6, "unicast_if", SOL_IPV6, IPV6_UNICAST_IF);
}

void add_older_forms(Rows& rows) {
  // By the address of the interface, and on an IPv6 socket.
  for (const Kind& kind : {kV4, kV6}) {
    rows.push_back({std::string("multicast/ip_add_membership/") + kind.suffix, kNamed, bound(kind),
                    [](Trial& trial) {
                      ip_mreq request{};
                      request.imr_multiaddr =
                          reinterpret_cast<const sockaddr_in&>(at(kV4.group, 0).name).sin_addr;
                      request.imr_interface =
                          reinterpret_cast<const sockaddr_in&>(at(kV4.left, 0).name).sin_addr;
                      set(trial.fd(), SOL_IP, IP_ADD_MEMBERSHIP, request, "IP_ADD_MEMBERSHIP");
                    },
                    [](Trial& trial) {
                      trial.answer("filter", filter_of(trial.fd(), kV4, kV4.group, "left"));
                      ip_mreqn request{};
                      request.imr_multiaddr =
                          reinterpret_cast<const sockaddr_in&>(at(kV4.group, 0).name).sin_addr;
                      request.imr_address =
                          reinterpret_cast<const sockaddr_in&>(at(kV4.left, 0).name).sin_addr;
                      const int left = ::setsockopt(trial.fd(), SOL_IP, IP_DROP_MEMBERSHIP,
                                                    &request, sizeof request);
                      trial.answer("leave", left == 0 ? "0" : std::strerror(errno));
                    }});
  }
  rows.push_back({"multicast/anycast/v6", "anycast", bound(kV6),
                  [](Trial& trial) {
                    ipv6_mreq request{};
                    request.ipv6mr_multiaddr =
                        reinterpret_cast<const sockaddr_in6&>(at("fd00:9::77", 0).name).sin6_addr;
                    request.ipv6mr_interface = interface_index("left");
                    set(trial.fd(), SOL_IPV6, IPV6_JOIN_ANYCAST, request, "IPV6_JOIN_ANYCAST");
                  },
                  [](Trial& trial) {
                    ipv6_mreq request{};
                    request.ipv6mr_multiaddr =
                        reinterpret_cast<const sockaddr_in6&>(at("fd00:9::77", 0).name).sin6_addr;
                    request.ipv6mr_interface = interface_index("left");
                    const int left = ::setsockopt(trial.fd(), SOL_IPV6, IPV6_LEAVE_ANYCAST,
                                                  &request, sizeof request);
                    trial.answer("leave", left == 0 ? "0" : std::strerror(errno));
                  }});
}

}  // namespace

void add_multicast(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) add_memberships(rows, kind);
  add_interfaces(rows);
  add_older_forms(rows);
}

}  // namespace fidelity
