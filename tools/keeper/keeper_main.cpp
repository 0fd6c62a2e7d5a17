// SPDX-License-Identifier: LGPL-2.1-or-later
#include <poll.h>

#include <charconv>
#include <cstdio>
#include <cstring>

#include "keeper.hpp"
#include "keeper/service/service.hpp"
#include "persist.hpp"
#include "privileges.hpp"
#include "proof.hpp"

namespace udpcr::keeper {

int keeper_main(int argc, char** argv) {
  if (argc >= 2 && argv[1][0] == '-') return service_main(argc, argv);
  int channel = -1;
  if (argc == 2) std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), channel);
  if (channel < 0) {
    static constexpr char kUsage[] =
        "udpcr: error: a keeper is started by the shim or by `udpcr run`, not by hand; a keeper "
        "service is: udpcr keeper --listen PATH\n";
    std::fputs(kUsage, stderr);
    return 125;
  }
  Log log(STDERR_FILENO);
  try {
    enter_keeper_life(channel);
    UniqueFd owned(channel);
    tell_senders(channel, true);
    pollfd first{channel, POLLIN, 0};
    Packet start;
    const Received received = persist([&] { return poll(&first, 1, 10'000); }) == 1
                                  ? receive_packet(channel, start)
                                  : Received::nothing;
    if (received == Received::end) return 0;  // the program was killed as it began
    if (received == Received::nothing || start.type() != wire::Type::start) {
      throw Error("no start message within 10 s");
    }
    Keeper(std::move(owned), start, log).run();
    return 0;
  } catch (const std::exception& error) {
    log.error("the keeper ends: " + std::string(error.what()));
    return 125;
  }
}

}  // namespace udpcr::keeper
