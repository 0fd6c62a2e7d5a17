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

bool is_on(const SocketRecord& record, int level, int name) {
  return std::any_of(record.options.begin(), record.options.end(), [&](const SocketOption& option) {
    return option.level == level && option.name == name &&
           std::any_of(option.value.begin(), option.value.end(),
                       [](std::uint8_t byte) { return byte != 0; });
  });
}

// SO_TIMESTAMPING shows none where none was taken.
bool shows_time(const SocketRecord& record) {
  for (const int name : {SO_TIMESTAMP, SO_TIMESTAMPNS, kSoTimestampNew, kSoTimestampnsNew}) {
    if (is_on(record, SOL_SOCKET, name)) return true;
  }
  return false;
}

// One Loss for each reason for which datagrams were refused.
void name_refusals(const std::vector<Refusal>& refusals, std::size_t count, const char* what,
                   std::vector<Loss>& losses) {
  std::map<std::pair<int, std::string>, std::size_t> reasons;
  for (const Refusal& refusal : refusals) {
    ++reasons[{refusal.ack.error_number, refusal.ack.sentence}];
  }
  for (const auto& [reason, number] : reasons) {
    const auto& [error, sentence] = reason;
    losses.push_back({what,
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

std::size_t ModuleFill::put(int fd, std::uint32_t queue, const MessageStream& datagrams,
                            const char* what, std::vector<Loss>& losses) {
  const std::set<std::uint16_t>& accepted = client_.datagram_attributes();
  bool all = true;
  for (const auto& [number, count] : count_attributes(datagrams)) {
    if (accepted.contains(number)) continue;
    all = false;
    losses.push_back(
        {"datagram attribute " + std::to_string(number),
         "the loaded module does not know it; " + std::to_string(count) + " datagrams had it",
         "load a newer module"});
  }
  const MessageStream& list = all ? datagrams : keep_attributes(datagrams, accepted);
  const std::uint32_t handle = queue == UDPCR_QUEUE_ERROR ? errors_ : receive_;
  client_.stage(SocketName::of(fd), handle, queue);
  std::vector<Refusal> refusals;
  try {
    refusals = client_.add(handle, list);
    client_.put(handle, UDPCR_POSITION_FRONT);
  } catch (...) {
    try {
      client_.drop(handle);
    } catch (const Error&) {
      // What was staged goes with the netlink socket.
    }
    throw;
  }
  name_refusals(refusals, list.count(), what, losses);
  return list.count() - refusals.size();
}

void ModuleFill::bound(int fd, const SocketState& state, Restored& restored) {
  {
    const ReceiveRoom room(fd, state);
    // What is put into the queue notes the count (SO_RXQ_OVFL); finish() sets
    // it for good, and names a failure.
    try {
      if (state.record.drops != 0) client_.set_drops(SocketName::of(fd), state.record.drops);
    } catch (const Error&) {
    }
    restored.datagrams =
        put(fd, UDPCR_QUEUE_RECEIVE, state.receive_queue, "receive queue", restored.losses);
  }
  const AttributeCounts counts = count_attributes(state.receive_queue);
  const auto with = counts.find(UDPCR_A_TSTAMP);
  const std::size_t without =
      state.receive_queue.count() - (with == counts.end() ? 0 : with->second);
  if (without != 0 && shows_time(state.record)) {
    restored.losses.push_back({"arrival time",
                               "that of " + std::to_string(without) + " datagrams is not known",
                               "checkpoint with the kernel module"});
  }
}

bool ModuleFill::forget_port(int fd, const SocketRecord& record) {
  const bool address = (record.flags & UDPCR_SOCK_BOUND_ADDR) != 0 && !record.local.is_wildcard();
  try {
    client_.set_bound(SocketName::of(fd), address ? UDPCR_SOCK_BOUND_ADDR : 0);
  } catch (const Error&) {
    return false;
  }
  return true;
}

void ModuleFill::finish(int fd, const SocketState& state, Restored& restored) {
  const SocketRecord& record = state.record;
  const auto attempt = [&](const char* what, const std::string& why, const auto& set) {
    try {
      set();
    } catch (const Error& error) {
      restored.losses.push_back({what, why + ": " + error.what(), "load the module of this udpcr"});
    }
  };
  const SocketName name = SocketName::of(fd);
  if (!state.error_queue.empty()) {
    attempt("error queue", std::to_string(state.error_queue.count()) + " messages waited",
            [&] { put(fd, UDPCR_QUEUE_ERROR, state.error_queue, "error queue", restored.losses); });
  }
  if (record.drops != 0) {
    attempt("drop counter", std::to_string(record.drops) + " datagrams had been dropped",
            [&] { client_.set_drops(name, record.drops); });
  }
  if (record.tskey != 0) {
    attempt("timestamp counter", "the next number was " + std::to_string(record.tskey),
            [&] { client_.set_tskey(name, record.tskey); });
  }
  // Last: any call may take it.
  if (record.error != 0) {
    attempt("pending error", errno_text(static_cast<int>(record.error)) + " waited to be read",
            [&] { client_.set_error(name, record.error); });
  }
  if (record.cgroup != 0) {
    attempt("cgroup", "it cannot be read", [&] {
      std::vector<std::uint16_t> unknown;
      name_cgroup(record.cgroup, decode_record(client_.record(name), unknown).cgroup,
                  restored.losses);
    });
  }
}

}  // namespace udpcr
