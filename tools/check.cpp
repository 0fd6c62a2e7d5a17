// SPDX-License-Identifier: LGPL-2.1-or-later
#include "check.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <udpcr/udpcr.hpp>

namespace udpcr {
namespace {

void say(const Loss& loss) {
  std::printf("  %s: %s\n", loss.what.c_str(), loss.why.c_str());
  if (!loss.remedy.empty()) std::printf("      %s\n", loss.remedy.c_str());
}

}  // namespace

int check_main(int argc, char** argv) {
  if (argc > 1) {
    const bool help = std::strcmp(argv[1], "--help") == 0;
    std::fprintf(
        help ? stdout : stderr,
        "usage: udpcr check\n"
        "Says which engine would be used here, and what it could not keep for this user.\n");
    return help ? 0 : 125;
  }
  const char* wanted = std::getenv("UDPCR_ENGINE");
  utsname kernel{};
  ::uname(&kernel);
  try {
    const auto engine = make_userspace_engine();
    std::printf("kernel: %s %s, user: %u\n", kernel.sysname, kernel.release, ::geteuid());
    std::printf("engine: %s, because %s\n", std::string(engine->name()).c_str(),
                wanted != nullptr && std::strcmp(wanted, "userspace") == 0
                    ? "UDPCR_ENGINE=userspace asks for it"
                    : "the kernel module udpcr is not loaded");
    if (wanted != nullptr && std::strcmp(wanted, "module") == 0) {
      std::printf("warning: UDPCR_ENGINE=module asks for the module, which is not there\n");
    }
    const auto limits = engine->limits();
    std::printf("kept: addresses, peer, device, options, file flags, receive queue in its order\n");
    std::printf("not kept, and named for each socket that has it:\n");
    for (const Loss& limit : limits) say(limit);
  } catch (const Error& error) {
    std::fprintf(stderr, "udpcr: %s\n", error.what());
    return 125;
  }
  return 0;
}

}  // namespace udpcr
