// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What goes through the module when a socket is restored, and what does not.
#include <netinet/in.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <map>

#include "datagram_filter.hpp"
#include "errors.hpp"
#include "kernel_numbers.hpp"
#include "module_engine.hpp"
#include "receive_room.hpp"
#include "socket_facts.hpp"

namespace udpcr {
namespace {

constexpr const char* kYet = "not restored yet";

std::string ip_of(const Address& address) {
  Address bare = address;
  bare.port = 0;
  std::string text = to_string(bare);  // "192.0.2.1:0", "[::1]:0"
  text.resize(text.rfind(':'));
  if (text.front() == '[') text = text.substr(1, text.size() - 2);
  return text;
}

std::string describe(const Membership& member) {
  std::string text =
      "member of " + ip_of(member.group) + " on " +
      (member.device.empty() ? "interface " + std::to_string(member.ifindex) : member.device);
  if (member.anycast) text += " (anycast)";
  if (!member.sources.empty()) {
    text += member.mode == MCAST_INCLUDE ? ", for " : ", but for ";
    text += std::to_string(member.sources.size()) + " sources";
  }
  return text;
}

bool is_on(const SocketRecord& record, int level, int name) {
  return std::any_of(record.options.begin(), record.options.end(), [&](const SocketOption& option) {
    return option.level == level && option.name == name &&
           std::any_of(option.value.begin(), option.value.end(),
                       [](std::uint8_t byte) { return byte != 0; });
  });
}

bool shows_time(const SocketRecord& record) {
  for (const int name : {SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING, kSoTimestampNew,
                         kSoTimestampnsNew, kSoTimestampingNew}) {
    if (is_on(record, SOL_SOCKET, name)) return true;
  }
  return false;
}

// One Loss for each reason for which datagrams were refused.
void name_refusals(const std::vector<Refusal>& refusals, std::size_t count,
                   std::vector<Loss>& losses) {
  std::map<std::pair<int, std::string>, std::size_t> reasons;
  for (const Refusal& refusal : refusals) {
    ++reasons[{refusal.ack.error_number, refusal.ack.sentence}];
  }
  for (const auto& [reason, number] : reasons) {
    const auto& [error, sentence] = reason;
    losses.push_back({"receive queue",
                      std::to_string(number) + " of " + std::to_string(count) +
                          " datagrams could not be put back: " + errno_text(error) +
                          (sentence.empty() ? "" : " (" + sentence + ")"),
                      error == ENOBUFS
                          ? "run with CAP_NET_ADMIN or raise net.core.rmem_max, so that "
                            "the receive buffer has its size, or net.ipv4.udp_mem"
                          : ""});
  }
}

}  // namespace

void find_module_losses(const SocketRecord& record, std::vector<Loss>& losses) {
  const auto lose = [&](const char* what, const std::string& why, const char* remedy) {
    losses.push_back({what, why, remedy});
  };
  for (const Membership& member : record.memberships) {
    lose("membership", describe(member), "not restored yet; let the program join the group again");
  }
  if (record.cork_length != 0) {
    lose("cork", std::to_string(record.cork_length) + " bytes are corked",
         "not restored yet; let the program send them again");
  }
  if (record.error_count != 0) {
    lose("error queue", std::to_string(record.error_count) + " messages wait to be read", kYet);
  }
  if (record.shutdown != 0) {
    lose("shutdown", "shut down for " + shutdown_directions(record.shutdown),
         "not restored yet; let the program call shutdown(2) again");
  }
  if (record.held_count != 0) {
    lose("datagrams held aside",
         "another checkpoint holds " + std::to_string(record.held_count) + " datagrams",
         "checkpoint again when it is over");
  }
  if ((record.flags & UDPCR_SOCK_SOCKMAP) != 0) {
    lose("sockmap", "it is in a BPF sockmap", "let the program put it in again");
  }
}

void ModuleFill::before_bind(int /*fd*/, const SocketState& /*state*/, Restored& /*restored*/) {}

void ModuleFill::bound(int fd, const SocketState& state, Restored& restored) {
  const std::set<std::uint16_t>& accepted = client_.datagram_attributes();
  const AttributeCounts counts = count_attributes(state.receive_queue);
  bool all = true;
  for (const auto& [number, datagrams] : counts) {
    if (accepted.contains(number)) continue;
    all = false;
    restored.losses.push_back(
        {"datagram attribute " + std::to_string(number),
         "the loaded module does not know it; " + std::to_string(datagrams) + " datagrams had it",
         "load a newer module"});
  }
  const MessageStream& queue =
      all ? state.receive_queue : keep_attributes(state.receive_queue, accepted);

  const ReceiveRoom room(fd, state);
  client_.stage(SocketName::of(fd), handle_);
  std::vector<Refusal> refusals;
  try {
    refusals = client_.add(handle_, queue);
    client_.put(handle_, UDPCR_POSITION_FRONT);
  } catch (...) {
    try {
      client_.drop(handle_);
    } catch (const Error&) {
      // What was staged goes with the netlink socket.
    }
    throw;
  }
  restored.datagrams = queue.count() - refusals.size();
  name_refusals(refusals, queue.count(), restored.losses);

  const auto with = [&](std::uint16_t number) {
    const auto found = counts.find(number);
    return found == counts.end() ? 0 : found->second;
  };
  if (const std::size_t without = queue.count() - with(UDPCR_A_TSTAMP);
      without != 0 && shows_time(state.record)) {
    restored.losses.push_back({"arrival time",
                               "that of " + std::to_string(without) + " datagrams is not known",
                               "checkpoint with the kernel module"});
  }
  if (is_on(state.record, SOL_IPV6, kIpv6Flowinfo)) {
    restored.losses.push_back(
        {"flow label", std::to_string(queue.count()) + " datagrams carry none now", kYet});
  }
}

void ModuleFill::finish(int fd, const SocketState& state, Restored& restored) {
  const SocketRecord& record = state.record;
  const auto attempt = [&](const char* what, const std::string& why, const auto& set) {
    try {
      set();
    } catch (const Error& error) {
      restored.losses.push_back({what, why + ": " + error.what(), ""});
    }
  };
  const SocketName name = SocketName::of(fd);
  if (record.drops != 0) {
    attempt("drop counter", std::to_string(record.drops) + " datagrams had been dropped",
            [&] { client_.set_drops(name, record.drops); });
  }
  if (record.error != 0) {
    attempt("pending error", errno_text(static_cast<int>(record.error)) + " waited to be read",
            [&] { client_.set_error(name, record.error); });
  }
}

}  // namespace udpcr
