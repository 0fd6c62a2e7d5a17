// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The receive queue: what came with each datagram.
#include <netinet/udp.h>
#include <unistd.h>

#include <ctime>
#include <functional>

#include "numbers.hpp"
#include "rows.hpp"
#include "wire.hpp"

namespace fidelity {
namespace {

using Tell = std::function<void(Trial&, const Got&)>;

Packet packet(const Kind& kind, const Trial& trial) {
  Packet out;
  out.source = kind.right;
  out.destination = kind.left;
  out.source_port = 4321;
  out.destination_port = trial.port();
  out.payload = "from afar";
  return out;
}

// Wildcard, and what only a socket that asks is told.
Step open_any(const Kind& kind) {
  return [kind](Trial& trial) {
    trial.make(kind.family);
    bind_to(trial.fd(), at(kind.any, trial.port()));
  };
}

Step observe_with(const Kind& kind, const Tell& tell) {
  return [=](Trial& trial) {
    ask_for_everything(trial.fd(), kind.family);
    const std::vector<Got> all = receive_all(trial.fd());
    trial.answer("count", static_cast<long long>(all.size()));
    for (const Got& got : all) tell(trial, got);
  };
}

std::string of(const Got& got, const char* key) {
  const auto found = got.ancillary.find(key);
  return found == got.ancillary.end() ? "none" : found->second;
}

Tell tell_key(const char* key) {
  return [=](Trial& trial, const Got& got) { trial.answer(key, of(got, key)); };
}

// A row whose datagram comes from the wire; `change` makes it special.
void add(Rows& rows, const Kind& kind, const std::string& name, const std::string& named,
         const std::function<void(Packet&)>& change, const Tell& tell) {
  rows.push_back({"queue/" + name + "/" + kind.suffix, named + "|receive queue", open_any(kind),
                  [=](Trial& trial) {
                    ask_for_everything(trial.fd(), kind.family);
                    Packet special = packet(kind, trial);
                    change(special);
                    send_packet_to(trial.fd(), special);
                  },
                  observe_with(kind, tell)});
}

void add_addresses_of_datagrams(Rows& rows, const Kind& kind) {
  const auto as_is = [](Packet&) {};
  const Tell source = [](Trial& trial, const Got& got) {
    trial.answer("source", text(got.source));
  };
  add(rows, kind, "source", "source address", as_is, source);
  add(
      rows, kind, "source_low_port", "source address", [](Packet& p) { p.source_port = 53; },
      source);
  add(rows, kind, "destination", "destination address", as_is, tell_key("DST"));
  add(
      rows, kind, "destination_second", "destination address",
      [=](Packet& p) { p.destination = kind.second; }, tell_key("DST"));
  add(rows, kind, "original_destination", "original destination", as_is, tell_key("ORIGDST"));
  add(rows, kind, "interface", "interface", as_is, tell_key("IF"));
  add(
      rows, kind, "tos", "TOS|traffic class", [](Packet& p) { p.tos = 0xb8; }, tell_key("TOS"));
  add(
      rows, kind, "ttl", "TTL|hop limit", [](Packet& p) { p.ttl = 17; }, tell_key("TTL"));
  add(
      rows, kind, "fragment_size", "fragment size",
      [](Packet& p) {
        p.payload = bytes_of(1600, 'f');
        p.fragment = 1000;
      },
      tell_key("FRAGSIZE"));
}

void add_multicast_and_broadcast(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    add(
        rows, kind, "to_multicast", "destination address", [](Packet&) {}, tell_key("DST"));
    rows.back().set = [=](Trial& trial) {
      ask_for_everything(trial.fd(), kind.family);
      group_req join{};
      join.gr_interface = interface_index("left");
      const Endpoint group = at(kind.group, 0);
      std::memcpy(&join.gr_group, &group.name, sizeof group.name);
      const int level = kind.family == AF_INET ? SOL_IP : SOL_IPV6;
      set(trial.fd(), level, MCAST_JOIN_GROUP, join, "MCAST_JOIN_GROUP");
      Packet special = packet(kind, trial);
      special.destination = kind.group;
      send_packet_to(trial.fd(), special);
      set(trial.fd(), level, MCAST_LEAVE_GROUP, join, "MCAST_LEAVE_GROUP");
    };
  }
  add(
      rows, kV4, "to_broadcast", "destination address",
      [](Packet& p) { p.destination = "10.9.0.255"; }, tell_key("DST"));
}

bool between(const std::string& time, const std::string& from, const std::string& to) {
  return time.size() == from.size() && from <= time && time <= to;
}
std::string now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  char out[40];
  std::snprintf(out, sizeof out, "%lld.%09ld", static_cast<long long>(time.tv_sec), time.tv_nsec);
  return out;
}

void add_times(Rows& rows, const Kind& kind) {
  add(
      rows, kind, "timestamp", "arrival time", [](Packet&) {},
      [](Trial& trial, const Got& got) {
        const std::string time = of(got, "TIME");
        const bool arrived = between(time, trial.noted("sent"), trial.noted("arrived"));
        trial.answer("time", arrived ? "of arrival" : "another");
      });
  const Step plain = rows.back().set;
  rows.back().set = [=](Trial& trial) {
    // Stamping begins in the background (net/core/dev.c, net_enable_timestamp).
    for (std::string asked, time = "-"; time >= asked;) {
      plain(trial);
      asked = now();
      const auto got = receive(trial.fd());
      if (!got) throw Broken("a datagram has gone");
      time = of(*got, "TIME");
    }
    trial.note("sent", now());
    plain(trial);
    trial.note("arrived", now());
  };
}

// From a socket of this machine that has `option`.
Step send_with(const Kind& kind, int level, int name, int value, const char* text,
               const std::string& payload) {
  return [=](Trial& trial) {
    ask_for_everything(trial.fd(), kind.family);
    const int client = ::socket(kind.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const unsigned before = queue_memory(trial.fd());
    set(client, level, name, value, text);
    const Endpoint to = at(kind.loopback, trial.port());
    ::sendto(client, payload.data(), payload.size(), 0, to.get(), to.size);
    ::close(client);
    await_more(trial.fd(), before);
  };
}

void add_from_here(Rows& rows, const Kind& kind) {
  const std::string in = std::string("/") + kind.suffix;
  rows.push_back({"queue/mark" + in, "mark", open_any(kind),
                  send_with(kind, SOL_SOCKET, SO_MARK, 77, "SO_MARK", "marked"),
                  observe_with(kind, tell_key("MARK"))});
  rows.push_back({"queue/priority" + in, "priority|SO_RCVPRIORITY", open_any(kind),
                  [=](Trial& trial) {
                    set(trial.fd(), SOL_SOCKET, kSoRcvpriority, 1, "SO_RCVPRIORITY");
                    send_with(kind, SOL_SOCKET, SO_PRIORITY, 5, "SO_PRIORITY", "urgent")(trial);
                  },
                  observe_with(kind, tell_key("PRIORITY"))});
  rows.push_back({"queue/gro" + in, "GRO|segment", open_any(kind),
                  [=](Trial& trial) {
                    set(trial.fd(), SOL_UDP, kUdpGro, 1, "UDP_GRO");
                    send_with(kind, SOL_UDP, kUdpSegment, 100, "UDP_SEGMENT",
                              bytes_of(950, 'g'))(trial);
                  },
                  observe_with(kind, [](Trial& trial, const Got& got) {
                    trial.answer("GRO", of(got, "GRO"));
                    trial.answer("payload", digest(got.payload));
                  })});
}

void add_ip_options(Rows& rows) {
  // A timestamp option that is full, and an end.
  add(
      rows, kV4, "ip_options", "IP options",
      [](Packet& p) { p.options = std::string("\x07\x07\x08\x0a\x09\x00\x05\x00", 8); },
      tell_key("OPTIONS"));
  const std::string padding("\1\4\0\0\0\0", 6);
  const auto header = [=](int type, const std::string& rest) {
    return [=](Packet& p) {
      p.extension = std::string(1, static_cast<char>(IPPROTO_UDP)) + std::string(1, '\0') + rest;
      p.extension_type = type;
    };
  };
  const std::string named = "IP options|extension headers";
  add(rows, kV6, "hop_by_hop", named, header(IPPROTO_HOPOPTS, padding), tell_key("HOPOPTS"));
  add(rows, kV6, "destination_options", named, header(IPPROTO_DSTOPTS, padding),
      tell_key("DSTOPTS"));
  // A routing header whose segments are all used up.
  add(rows, kV6, "routing_header", named, header(IPPROTO_ROUTING, std::string("\xfd\0\0\0\0\0", 6)),
      tell_key("RTHDR"));
  add(
      rows, kV6, "flow_label", "flow label", [](Packet& p) { p.flow_label = 0xabcde; },
      tell_key("FLOWINFO"));
  add(
      rows, kV6, "link_local_source", "source address",
      [](Packet& p) {
        p.source = "fe80::2";
        p.destination = "fe80::1";
      },
      [](Trial& trial, const Got& got) { trial.answer("source", text(got.source)); });
}

void add_dual_stack(Rows& rows) {
  Kind kind = kV6;
  kind.suffix = "dual_stack";
  add(
      rows, kind, "source", "source address",
      [](Packet& p) {
        p.source = kV4.right;
        p.destination = kV4.left;
      },
      [](Trial& trial, const Got& got) {
        trial.answer("source", text(got.source));
        trial.answer("DST", of(got, "DST"));
      });
  rows.push_back({"queue/order/dual_stack", "receive queue", open_any(kV6),
                  [](Trial& trial) {
                    for (int i = 0; i < 10; ++i) {
                      Packet one = packet(i % 3 == 0 ? kV6 : kV4, trial);
                      one.payload = "number " + std::to_string(i);
                      send_packet_to(trial.fd(), one);
                    }
                  },
                  [](Trial& trial) {
                    std::string all;
                    for (const Got& got : receive_all(trial.fd())) all += got.payload + ";";
                    trial.answer("payloads", all);
                  }});
}

}  // namespace

void add_queue_headers(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    add_addresses_of_datagrams(rows, kind);
    add_times(rows, kind);
    add_from_here(rows, kind);
  }
  add_multicast_and_broadcast(rows);
  add_ip_options(rows);
  add_dual_stack(rows);
}

}  // namespace fidelity
