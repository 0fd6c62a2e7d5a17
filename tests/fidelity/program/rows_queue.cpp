// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The receive queue: payloads, order, senders.
#include "rows.hpp"

namespace fidelity {
namespace {

constexpr const char* kNamed = "receive queue";

void add_payloads(Rows& rows, const Kind& kind) {
  const std::string in = std::string("/") + kind.suffix;
  const auto observe = [](Trial& trial) {
    std::string all;
    int count = 0;
    for (const Got& got : receive_all(trial.fd())) {
      all += digest(got.payload) + ";";
      ++count;
    }
    trial.answer("count", count);
    trial.answer("payloads", digest(all));
  };
  const auto send = [kind](Trial& trial, const std::string& payload) {
    send_from(at(kind.second, trial.port(1)), at(kind.loopback, trial.port()), payload, trial.fd());
  };
  const std::size_t largest = kind.family == AF_INET ? 65507 : 65527;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{1472}, std::size_t{9000}, largest}) {
    rows.push_back({"queue/payload_" + std::to_string(size) + in, kNamed, bound(kind),
                    [=](Trial& trial) { send(trial, bytes_of(size, 'p')); }, observe});
  }
  rows.push_back({"queue/order" + in, kNamed, bound(kind),
                  [=](Trial& trial) {
                    for (int i = 0; i < 50; ++i) send(trial, "number " + std::to_string(i));
                  },
                  observe});
  rows.push_back({"queue/empty_between" + in, kNamed + std::string("|empty datagrams"), bound(kind),
                  [=](Trial& trial) {
                    for (const char* payload : {"", "", "x", "", "y", ""}) send(trial, payload);
                  },
                  observe});
}

}  // namespace

void add_queues(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) add_payloads(rows, kind);
}

}  // namespace fidelity
