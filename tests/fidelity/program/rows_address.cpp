// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cerrno>

#include "rows.hpp"
#include "wire.hpp"

namespace fidelity {
namespace {

constexpr const char* kNamed = "address|automatic port|bound|local";

// What shows that it is the old socket.
void queue_one(Trial& trial, const std::string& client, const std::string& server) {
  const unsigned port = local_of(trial.fd()).port();
  send_from(at(client, trial.port(1)), at(server, port), "waiting", trial.fd());
  trial.note("port", std::to_string(port));
}

void queue_from_wire(Trial& trial, const Kind& kind, const char* destination) {
  Packet packet;
  packet.source = kind.right;
  packet.destination = destination;
  packet.source_port = 4321;
  packet.destination_port = trial.port();
  packet.payload = "waiting";
  trial.note("port", std::to_string(trial.port()));
  send_packet_to(trial.fd(), packet);
}

// Names, what a port that the kernel chose does, and what follows when the
// socket is disconnected.
void tell_names(Trial& trial) {
  const int fd = trial.fd();
  const auto local = [&](const std::string& key) {
    const Endpoint now = local_of(fd);
    const bool own = now.port() >= trial.port() && now.port() < trial.port() + 4;
    const bool noted = std::to_string(now.port()) == trial.noted("port");
    trial.answer(key, host(now) + (now.port() == 0 ? ":0"
                                   : own           ? ":" + std::to_string(now.port())
                                   : noted         ? ":as_before"
                                                   : ":another"));
  };
  local("local");
  trial.answer("peer", text(peer_of(fd)));
  trial.answer("device", get_hex(fd, SOL_SOCKET, SO_BINDTODEVICE));
  const auto got = receive(fd);
  trial.answer("queue", got ? got->payload : "nothing");
  try {
    disconnect(fd);
    local("after_disconnect");
  } catch (const std::exception& why) {
    trial.answer("after_disconnect", why.what());
  }
}

// One row: a socket bound to `address` and sent to at `server` from `client`.
void add_bound(Rows& rows, const std::string& name, int family, const std::string& address,
               const std::string& server, const std::string& client, bool port_0 = false) {
  rows.push_back({"address/" + name, kNamed,
                  [=](Trial& trial) {
                    trial.make(family);
                    bind_to(trial.fd(), at(address, port_0 ? 0 : trial.port()));
                  },
                  [=](Trial& trial) { queue_one(trial, client, server); }, tell_names});
}

void add_bound_rows(Rows& rows, const Kind& kind) {
  const std::string in = std::string("/") + kind.suffix;
  add_bound(rows, "bound" + in, kind.family, kind.second, kind.second, kind.loopback);
  add_bound(rows, "wildcard" + in, kind.family, kind.any, kind.second, kind.loopback);
  add_bound(rows, "port_0" + in, kind.family, kind.loopback, kind.loopback, kind.second, true);
  add_bound(rows, "wildcard_port_0" + in, kind.family, kind.any, kind.loopback, kind.second, true);
}

void add_connected_rows(Rows& rows, const Kind& kind) {
  const std::string in = std::string("/") + kind.suffix;
  const auto from_peer = [=](Trial& trial) {
    queue_one(trial, kind.second, host(local_of(trial.fd())));
  };
  const auto add = [&](const std::string& name, auto open, bool inherit_only = false) {
    rows.push_back({"address/" + name + in, kNamed, open, from_peer, tell_names, inherit_only});
  };
  add("connected_unbound", [=](Trial& trial) {
    trial.make(kind.family);
    connect_to(trial.fd(), at(kind.second, trial.port(1)));
  });
  add("connected_bound", [=](Trial& trial) {
    trial.make(kind.family);
    bind_to(trial.fd(), at(kind.loopback, trial.port()));
    connect_to(trial.fd(), at(kind.second, trial.port(1)));
  });
  add("connected_wildcard", [=](Trial& trial) {
    trial.make(kind.family);
    bind_to(trial.fd(), at(kind.any, trial.port()));
    connect_to(trial.fd(), at(kind.second, trial.port(1)));
  });
  add("connected_port_0", [=](Trial& trial) {
    trial.make(kind.family);
    bind_to(trial.fd(), at(kind.loopback, 0));
    connect_to(trial.fd(), at(kind.second, trial.port(1)));
  });
  add(
      "bound_by_send",
      [=](Trial& trial) {
        trial.make(kind.family);
        const Endpoint nobody = at(kind.loopback, 9);
        ::sendto(trial.fd(), "x", 1, 0, nobody.get(), nobody.size);
      },
      true);
  rows.back().set = [=](Trial& trial) { queue_one(trial, kind.second, kind.loopback); };
  rows.push_back({"address/unbound" + in, kNamed, [=](Trial& trial) { trial.make(kind.family); },
                  [](Trial& trial) { set(trial.fd(), SOL_IP, IP_TTL, 77, "IP_TTL"); },
                  [](Trial& trial) {
                    trial.answer("ttl", get_number(trial.fd(), SOL_IP, IP_TTL));
                    trial.answer("local", text(local_of(trial.fd())));
                    trial.answer("peer", text(peer_of(trial.fd())));
                  },
                  true});
}

void add_mixed_rows(Rows& rows) {
  add_bound(rows, "dual_stack", AF_INET6, "::", "127.0.0.1", "127.0.0.1");
  add_bound(rows, "v4_mapped", AF_INET6, "::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1");
  add_bound(rows, "link_local", AF_INET6, "fe80::1%left", "fe80::1%left", "fe80::1%left");
  rows.push_back({"address/v6only", kNamed,
                  [](Trial& trial) {
                    trial.make(AF_INET6);
                    if (trial.sets()) set(trial.fd(), SOL_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
                    bind_to(trial.fd(), at("::", trial.port()));
                  },
                  [](Trial& trial) { queue_one(trial, "::1", "::1"); },
                  [](Trial& trial) {
                    trial.answer("v6only", get_number(trial.fd(), SOL_IPV6, IPV6_V6ONLY));
                    tell_names(trial);
                  }});
  add_bound(rows, "bound_to_broadcast", AF_INET, "10.9.0.255", "127.0.0.1", "127.0.0.1");
  rows.back().set = [](Trial& trial) { queue_from_wire(trial, kV4, "10.9.0.255"); };
  for (const Kind& kind : {kV4, kV6}) {
    const std::string group =
        kind.family == AF_INET ? kind.group : kind.group + std::string("%left");
    add_bound(rows, std::string("bound_to_group/") + kind.suffix, kind.family, group, group, group);
    rows.back().set = [=](Trial& trial) {
      group_req request{};
      request.gr_interface = interface_index("left");
      request.gr_group = at(kind.group, 0).name;
      set(trial.fd(), kind.family == AF_INET ? SOL_IP : SOL_IPV6, MCAST_JOIN_GROUP, request,
          "join");
      queue_from_wire(trial, kind, kind.group);
    };
    // Connected once, and no more.
    rows.push_back({std::string("address/disconnected/") + kind.suffix, kNamed,
                    [=](Trial& trial) {
                      trial.make(kind.family);
                      bind_to(trial.fd(), at(kind.any, trial.port()));
                      if (!trial.sets()) return;
                      connect_to(trial.fd(), at(kind.second, trial.port(1)));
                      disconnect(trial.fd());
                    },
                    [=](Trial& trial) { queue_one(trial, kind.second, kind.loopback); },
                    tell_names});
  }
  // The program names the device as well, before it binds.
  for (const Kind& kind : {kV4, kV6}) {
    rows.push_back({std::string("address/device/") + kind.suffix, "SO_BINDTODEVICE|device",
                    [=](Trial& trial) {
                      trial.make(kind.family);
                      set(trial.fd(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 3, "SO_BINDTODEVICE");
                      bind_to(trial.fd(), at(kind.any, trial.port()));
                    },
                    [=](Trial& trial) { queue_one(trial, kind.second, kind.loopback); },
                    tell_names});
  }
  rows.push_back(
      {"address/addrform", "IPV6_ADDRFORM|address",
       [](Trial& trial) {
         trial.make(AF_INET6);
         bind_to(trial.fd(), at("::ffff:127.0.0.1", trial.port()));
         connect_to(trial.fd(), at("::ffff:127.0.0.1", trial.port(1)));
       },
       [](Trial& trial) { set(trial.fd(), SOL_IPV6, IPV6_ADDRFORM, AF_INET, "IPV6_ADDRFORM"); },
       [](Trial& trial) {
         trial.answer("family", get_number(trial.fd(), SOL_SOCKET, SO_DOMAIN));
         trial.answer("local", text(local_of(trial.fd())));
         trial.answer("peer", text(peer_of(trial.fd())));
       },
       true});
  rows.push_back({"address/connected_v4_mapped", kNamed,
                  [](Trial& trial) {
                    trial.make(AF_INET6);
                    connect_to(trial.fd(), at("::ffff:127.0.0.1", trial.port(1)));
                  },
                  [](Trial& trial) { queue_one(trial, "127.0.0.1", "127.0.0.1"); }, tell_names});
}

}  // namespace

Step bound(const Kind& kind) {
  return [kind](Trial& trial) {
    trial.make(kind.family);
    bind_to(trial.fd(), at(kind.loopback, trial.port()));
  };
}

void add_addresses(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    add_bound_rows(rows, kind);
    add_connected_rows(rows, kind);
  }
  add_mixed_rows(rows);
}

}  // namespace fidelity
