// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The receive queue: what counts and what has been peeked at.
#include <unistd.h>

#include "rows.hpp"

namespace fidelity {
namespace {

constexpr unsigned kMeminfoDrops = 8;
constexpr int kSoMeminfo = 55;

unsigned drops(int fd) {
  unsigned values[16] = {};
  socklen_t size = sizeof values;
  if (::getsockopt(fd, SOL_SOCKET, kSoMeminfo, values, &size) != 0) throw Broken("SO_MEMINFO");
  return values[kMeminfoDrops];
}

void send(const Kind& kind, Trial& trial, const std::string& payload) {
  send_from(at(kind.second, trial.port(1)), at(kind.loopback, trial.port()), payload, trial.fd());
}

std::string payloads(int fd) {
  std::string all;
  for (const Got& got : receive_all(fd)) all += digest(got.payload) + ";";
  return all;
}

std::string peek(int fd) {
  const auto got = receive(fd, MSG_PEEK);
  return got ? digest(got->payload) : "nothing";
}

// More is sent than the buffer takes.
void overflow(const Kind& kind, Trial& trial) {
  set(trial.fd(), SOL_SOCKET, SO_RCVBUF, 4096, "SO_RCVBUF");
  const Endpoint from = at(kind.second, trial.port(1));
  const Endpoint to = at(kind.loopback, trial.port());
  while (drops(trial.fd()) < 3) {
    const int client = ::socket(kind.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bind_to(client, from);
    const std::string payload = bytes_of(1000, 'd');
    ::sendto(client, payload.data(), payload.size(), 0, to.get(), to.size);
    ::close(client);
  }
}

void add_counters(Rows& rows, const Kind& kind) {
  const std::string in = std::string("/") + kind.suffix;
  rows.push_back({"queue/drop_counter" + in, "drop counter", bound(kind),
                  [=](Trial& trial) { overflow(kind, trial); },
                  [](Trial& trial) { trial.answer("drops", drops(trial.fd())); }});
  rows.push_back({"queue/full" + in, "receive queue", bound(kind),
                  [=](Trial& trial) { overflow(kind, trial); },
                  [](Trial& trial) { trial.answer("payloads", payloads(trial.fd())); }});
  // The count that stood when the datagram came (SO_RXQ_OVFL).
  rows.push_back({"queue/drops_before" + in, "drop counter", bound(kind),
                  [=](Trial& trial) {
                    set(trial.fd(), SOL_SOCKET, SO_RXQ_OVFL, 1, "SO_RXQ_OVFL");
                    overflow(kind, trial);
                    receive_all(trial.fd());
                    send(kind, trial, "after drops");
                  },
                  [](Trial& trial) {
                    for (const Got& got : receive_all(trial.fd())) {
                      const auto count = got.ancillary.find("RXQ_OVFL");
                      trial.answer(got.payload,
                                   count == got.ancillary.end() ? "none" : count->second);
                    }
                  }});
}

void add_peeks(Rows& rows, const Kind& kind) {
  const std::string in = std::string("/") + kind.suffix;
  rows.push_back({"queue/peek_offset" + in, "SO_PEEK_OFF", bound(kind),
                  [=](Trial& trial) {
                    send(kind, trial, "abcdef");
                    send(kind, trial, "ghij");
                    set(trial.fd(), SOL_SOCKET, SO_PEEK_OFF, 8, "SO_PEEK_OFF");
                  },
                  [](Trial& trial) {
                    trial.answer("offset", get_number(trial.fd(), SOL_SOCKET, SO_PEEK_OFF));
                    trial.answer("peek", peek(trial.fd()));
                    trial.answer("offset_then", get_number(trial.fd(), SOL_SOCKET, SO_PEEK_OFF));
                    trial.answer("payloads", payloads(trial.fd()));
                  }});
  // A peek with an offset passes over an empty datagram that was peeked at
  // before (net/core/datagram.c, __skb_try_recv_from_queue).
  rows.push_back({"queue/peeked_empty" + in, "empty datagrams|peek", bound(kind),
                  [=](Trial& trial) {
                    send(kind, trial, "");
                    send(kind, trial, "behind");
                    set(trial.fd(), SOL_SOCKET, SO_PEEK_OFF, 0, "SO_PEEK_OFF");
                    receive(trial.fd(), MSG_PEEK);
                  },
                  [](Trial& trial) {
                    trial.answer("peek", peek(trial.fd()));
                    trial.answer("payloads", payloads(trial.fd()));
                  }});
  rows.push_back({"queue/peeked" + in, "receive queue", bound(kind),
                  [=](Trial& trial) {
                    send(kind, trial, "seen");
                    receive(trial.fd(), MSG_PEEK);
                  },
                  [](Trial& trial) { trial.answer("payloads", payloads(trial.fd())); }});
}

}  // namespace

void add_queue_states(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    add_counters(rows, kind);
    add_peeks(rows, kind);
  }
}

}  // namespace fidelity
