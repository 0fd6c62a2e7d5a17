// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Errors that wait: SO_ERROR, and the error queue.
#include <linux/net_tstamp.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "numbers.hpp"
#include "rows.hpp"
#include "wire.hpp"

namespace fidelity {
namespace {

constexpr unsigned kClosed = 9;  // a port where nobody listens

void await_error(int fd) {
  pollfd events{fd, 0, 0};
  if (::poll(&events, 1, 5000) != 1) throw Broken("no error arrives");
}

void send(int fd, const std::string& payload) {
  if (::send(fd, payload.data(), payload.size(), 0) < 0) fail("send", errno);
}

Step connected_to(const Kind& kind, const std::string& peer, unsigned port) {
  return [=](Trial& trial) {
    trial.make(kind.family);
    bind_to(trial.fd(), at(kind.any, trial.port()));
    connect_to(trial.fd(), at(peer, port));
  };
}

int recverr(const Kind& kind) { return kind.family == AF_INET ? IP_RECVERR : IPV6_RECVERR; }
int level(const Kind& kind) { return kind.family == AF_INET ? SOL_IP : SOL_IPV6; }

void tell_error(Trial& trial) {
  trial.answer("error", std::strerror(get_number(trial.fd(), SOL_SOCKET, SO_ERROR)));
}

// All of the error queue, oldest first.
void tell_queue(Trial& trial) {
  int count = 0;
  while (auto got = receive(trial.fd(), MSG_ERRQUEUE)) {
    const std::string n = std::to_string(count++) + ".";
    // A sent datagram comes with its headers, which have numbers of the moment.
    const std::size_t size = got->payload.size();
    trial.answer(n + "size", static_cast<long long>(size));
    trial.answer(n + "payload", digest(got->payload.substr(size - std::min<std::size_t>(size, 7))));
    trial.answer(n + "about", text(got->source));
    for (const auto& [key, value] : got->ancillary) {
      if (key != "TXTIME" && key != "TIME") trial.answer(n + key, value);
    }
  }
  trial.answer("count", count);
}

void add_icmp(Rows& rows, const Kind& kind) {
  const std::string in = std::string("/") + kind.suffix;
  rows.push_back({"error/pending" + in, "pending error", connected_to(kind, kind.loopback, kClosed),
                  [](Trial& trial) {
                    send(trial.fd(), "x");
                    await_error(trial.fd());
                  },
                  tell_error});
  const auto with_recverr = [=](const Step& then) {
    return [=](Trial& trial) {
      set(trial.fd(), level(kind), recverr(kind), 1, "RECVERR");
      then(trial);
      await_error(trial.fd());
    };
  };
  const std::string named = "error queue|pending error";
  rows.push_back({"error/icmp" + in, named, connected_to(kind, kind.loopback, kClosed),
                  with_recverr([](Trial& trial) { send(trial.fd(), "about this"); }), tell_queue});
  // Not the peer says it, but somebody on the way.
  const auto unreachable = [=](Trial& trial, bool extended) {
    Packet about;
    about.source = kind.left;
    about.destination = kind.right;
    about.source_port = trial.port();
    about.destination_port = 1234;
    about.payload = "about that";
    send_unreachable(about, kind.source, extended);
  };
  const auto from_afar = [=](Trial& trial) { unreachable(trial, false); };
  rows.push_back({"error/icmp_extended" + in, named, connected_to(kind, kind.right, 1234),
                  with_recverr([=](Trial& trial) {
                    const bool v4 = kind.family == AF_INET;
                    set(trial.fd(), level(kind), v4 ? kIpRecverrRfc4884 : kIpv6RecverrRfc4884, 1,
                        "RECVERR_RFC4884");
                    unreachable(trial, true);
                  }),
                  tell_queue});
  rows.push_back({"error/icmp_offender" + in, named, connected_to(kind, kind.right, 1234),
                  with_recverr(from_afar), tell_queue});
  rows.push_back({"error/several" + in, named, connected_to(kind, kind.right, 1234),
                  with_recverr([=](Trial& trial) {
                    for (int i = 0; i < 3; ++i) from_afar(trial);
                  }),
                  tell_queue});
  rows.push_back({"error/local" + in, named, connected_to(kind, kind.right, 1234),
                  with_recverr([=](Trial& trial) {
                    const int discover =
                        kind.family == AF_INET ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER;
                    set(trial.fd(), level(kind), discover, 2, "MTU_DISCOVER");
                    const std::string large = bytes_of(3000, 'e');
                    ::send(trial.fd(), large.data(), large.size(), 0);
                  }),
                  tell_queue});
}

void ask_for_transmit_times(int fd, int more) {
  const int flags =
      SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | more;
  set(fd, SOL_SOCKET, SO_TIMESTAMPING, flags, "SO_TIMESTAMPING");
}

// The number that the next one gets.
void tell_next(Trial& trial) {
  while (receive(trial.fd(), MSG_ERRQUEUE)) {
  }
  send(trial.fd(), "the next");
  await_error(trial.fd());
  const auto got = receive(trial.fd(), MSG_ERRQUEUE);
  trial.answer("next",
               got && got->ancillary.count("DATA") != 0 ? got->ancillary.at("DATA") : "none");
}

void add_transmit_times(Rows& rows, const Kind& kind) {
  const std::string in = std::string("/") + kind.suffix;
  const auto three = [](int more) {
    return [=](Trial& trial) {
      ask_for_transmit_times(trial.fd(), more);
      for (int i = 0; i < 3; ++i) {
        send(trial.fd(), "timed " + std::to_string(i));
        await_error(trial.fd());
      }
    };
  };
  const std::string named = "error queue|pending error";
  rows.push_back({"error/transmit_timestamp" + in, named, connected_to(kind, kind.right, 1234),
                  three(0), tell_queue});
  rows.push_back({"error/transmit_timestamp_only" + in, named, connected_to(kind, kind.right, 1234),
                  three(SOF_TIMESTAMPING_OPT_TSONLY), tell_queue});
  rows.push_back({"error/transmit_counter" + in, "SO_TIMESTAMPING|timestamp|counter",
                  connected_to(kind, kind.right, 1234),
                  [=](Trial& trial) {
                    three(SOF_TIMESTAMPING_OPT_TSONLY)(trial);
                    while (receive(trial.fd(), MSG_ERRQUEUE)) {
                    }
                  },
                  tell_next});
}

}  // namespace

void add_errors(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    add_icmp(rows, kind);
    add_transmit_times(rows, kind);
  }
  const Kind mapped = [] {
    Kind kind = kV6;
    kind.suffix = "v4_on_v6";
    return kind;
  }();
  rows.push_back({"error/icmp/v4_on_v6", "error queue|pending error",
                  connected_to(mapped, "::ffff:127.0.0.1", kClosed),
                  [](Trial& trial) {
                    set(trial.fd(), SOL_IPV6, IPV6_RECVERR, 1, "IPV6_RECVERR");
                    set(trial.fd(), SOL_IP, IP_RECVERR, 1, "IP_RECVERR");
                    send(trial.fd(), "about this");
                    await_error(trial.fd());
                  },
                  tell_queue});
}

}  // namespace fidelity
