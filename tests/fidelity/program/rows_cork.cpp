// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The send side: a datagram that was begun leaves as the same bytes, to the
// same place; all of it or nothing.
#include <netinet/udp.h>
#include <unistd.h>

#include <cerrno>

#include "numbers.hpp"
#include "rows.hpp"
#include "wire.hpp"

namespace fidelity {
namespace {

constexpr const char* kNamed = "cork";
constexpr unsigned kDiscard = 9;

// One control message beside the payload.
struct Extra {
  int level = 0, type = 0;
  std::string value;
};

void send_more(int fd, const std::string& payload, int flags, const Endpoint* to,
               const Extra& extra = {}) {
  iovec vector{const_cast<char*>(payload.data()), payload.size()};
  alignas(cmsghdr) char control[256] = {};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (to != nullptr) {
    message.msg_name = const_cast<sockaddr*>(to->get());
    message.msg_namelen = to->size;
  }
  if (!extra.value.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(extra.value.size());
    cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
    cmsg->cmsg_level = extra.level;
    cmsg->cmsg_type = extra.type;
    cmsg->cmsg_len = CMSG_LEN(extra.value.size());
    std::memcpy(CMSG_DATA(cmsg), extra.value.data(), extra.value.size());
  }
  if (::sendmsg(fd, &message, flags) < 0) fail("sendmsg of corked data", errno);
}

// What leaves when the cork is taken off.
void tell_flush(Trial& trial) {
  set(trial.fd(), SOL_UDP, UDP_CORK, 0, "UDP_CORK off");
  int count = 0;
  for (const Frame& frame : frames(trial.port())) {
    trial.answer("payload", digest(frame.payload));
    trial.answer("from", frame.source + ":" + std::to_string(frame.source_port));
    trial.answer("to", frame.destination + ":" + std::to_string(frame.destination_port));
    trial.answer("tos", frame.tos);
    trial.answer("ttl", frame.ttl);
    ++count;
  }
  trial.answer("datagrams", count);
}

void add(Rows& rows, const Kind& kind, const std::string& name, const Step& set_up) {
  rows.push_back({"cork/" + name + "/" + kind.suffix, kNamed,
                  [=](Trial& trial) {
                    trial.make(kind.family);
                    bind_to(trial.fd(), at(kind.any, trial.port()));
                  },
                  set_up, tell_flush});
}

Step corked(const std::string& right, const Extra& extra = {}) {
  return [=](Trial& trial) {
    const Endpoint to = at(right, kDiscard);
    set(trial.fd(), SOL_UDP, UDP_CORK, 1, "UDP_CORK");
    send_more(trial.fd(), "the first half, ", 0, &to, extra);
    send_more(trial.fd(), bytes_of(700, 'c'), 0, &to);
  };
}

template <typename Value>
Extra extra(int level, int type, const Value& value) {
  return {level, type, {reinterpret_cast<const char*>(&value), sizeof value}};
}

void add_kind(Rows& rows, const Kind& kind) {
  const bool v4 = kind.family == AF_INET;
  const Endpoint to = at(kind.right, kDiscard);
  const int level = v4 ? SOL_IP : SOL_IPV6;
  add(rows, kind, "udp_cork", corked(kind.right));
  add(rows, kind, "msg_more", [=](Trial& trial) {
    send_more(trial.fd(), "the first half, ", MSG_MORE, &to);
    send_more(trial.fd(), "the second", MSG_MORE, &to);
  });
  rows.push_back(
      {std::string("cork/connected/") + kind.suffix, kNamed,
       [=](Trial& trial) {
         trial.make(kind.family);
         bind_to(trial.fd(), at(kind.any, trial.port()));
         connect_to(trial.fd(), to);
       },
       [=](Trial& trial) { send_more(trial.fd(), bytes_of(900, 'm'), MSG_MORE, nullptr); },
       tell_flush});
  add(rows, kind, "tos", corked(kind.right, extra(level, v4 ? IP_TOS : IPV6_TCLASS, 0x48)));
  add(rows, kind, "ttl", corked(kind.right, extra(level, v4 ? IP_TTL : IPV6_HOPLIMIT, 9)));
  // The source asked for is not the one that the route gives.
  Extra source;
  if (v4) {
    in_pktinfo info{};
    info.ipi_spec_dst = reinterpret_cast<const sockaddr_in&>(at(kind.second, 0).name).sin_addr;
    source = extra(SOL_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    info.ipi6_addr = reinterpret_cast<const sockaddr_in6&>(at(kind.second, 0).name).sin6_addr;
    source = extra(SOL_IPV6, IPV6_PKTINFO, info);
  }
  add(rows, kind, "source", corked(kind.right, source));
  add(rows, kind, "large", [=](Trial& trial) {
    set(trial.fd(), SOL_UDP, UDP_CORK, 1, "UDP_CORK");
    for (int i = 0; i < 12; ++i) send_more(trial.fd(), bytes_of(100, 'l'), 0, &to);
  });
}

// To a socket of this machine, where it arrives in segments.
void add_gso(Rows& rows, const Kind& kind) {
  rows.push_back({std::string("cork/gso/") + kind.suffix, kNamed,
                  [=](Trial& trial) {
                    trial.make(kind.family);
                    bind_to(trial.fd(), at(kind.loopback, trial.port()));
                    trial.make(kind.family);
                    bind_to(trial.fd(1), at(kind.loopback, trial.port(1)));
                  },
                  [=](Trial& trial) {
                    const Endpoint to = at(kind.loopback, trial.port(1));
                    send_more(trial.fd(), bytes_of(350, 'g'), MSG_MORE, &to,
                              extra(SOL_UDP, kUdpSegment, std::uint16_t{100}));
                  },
                  [](Trial& trial) {
                    set(trial.fd(), SOL_UDP, UDP_CORK, 0, "UDP_CORK off");
                    settle();
                    std::string all;
                    while (auto got = receive(trial.fd(1))) all += digest(got->payload) + ";";
                    trial.answer("payloads", all);
                  }});
  rows.push_back(
      {std::string("cork/nothing_pending/") + kind.suffix, "UDP_CORK", bound(kind),
       [](Trial& trial) { set(trial.fd(), SOL_UDP, UDP_CORK, 1, "UDP_CORK"); },
       [](Trial& trial) { trial.answer("cork", get_number(trial.fd(), SOL_UDP, UDP_CORK)); }});
}

}  // namespace

void add_corks(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    add_kind(rows, kind);
    add_gso(rows, kind);
  }
  Kind mapped = kV6;
  mapped.suffix = "v4_on_v6";
  add(rows, mapped, "udp_cork", corked("::ffff:10.9.0.2"));
}

}  // namespace fidelity
