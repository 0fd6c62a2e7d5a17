// SPDX-License-Identifier: LGPL-2.1-or-later
#include "check.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <udpcr/udpcr.hpp>

#include "module_client.hpp"

namespace udpcr {
namespace {

void say(const Loss& loss) {
  std::printf("  %s: %s\n", loss.what.c_str(), loss.why.c_str());
  if (!loss.remedy.empty()) std::printf("      %s\n", loss.remedy.c_str());
}

void say_limits(const Engine& engine) {
  std::printf("not kept by the %s engine, and named for each socket that has it:\n",
              std::string(engine.name()).c_str());
  for (const Loss& limit : engine.limits()) say(limit);
}

UseEngine choice_of(const char* wanted) {
  const std::string name = wanted == nullptr ? "auto" : wanted;
  if (name == "module") return UseEngine::module;
  if (name == "userspace") return UseEngine::userspace;
  if (name != "auto") {
    std::printf("warning: UDPCR_ENGINE=%s is not known (auto, module, userspace): auto is used\n",
                name.c_str());
  }
  return UseEngine::automatic;
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
  const char* const wanted = std::getenv("UDPCR_ENGINE");
  utsname kernel{};
  ::uname(&kernel);
  std::printf("kernel: %s %s, user: %u\n", kernel.sysname, kernel.release, ::geteuid());
  const ModuleClient client;
  if (client.available()) {
    std::puts("module: loaded");
  } else {
    std::printf("module: not used: %s\n", client.absence().what());
  }
  try {
    const UseEngine choice = choice_of(wanted);
    const auto engine = make_engine(choice);
    const std::string name(engine->name());
    std::printf("engine: %s, because %s\n", name.c_str(),
                choice != UseEngine::automatic ? ("UDPCR_ENGINE=" + name + " asks for it").c_str()
                : client.available()           ? "the kernel module udpcr is loaded"
                                               : "the kernel module udpcr is not there");
    std::puts("kept: addresses, peer, device, options, file flags, receive queue in its order");
    say_limits(*engine);
    if (name == "module" && choice == UseEngine::automatic) {
      std::puts("\nsockets that the module refuses this user are left to the userspace engine:");
      say_limits(*make_userspace_engine());
    }
  } catch (const Error& error) {
    std::printf("engine: none\n");
    std::fprintf(stderr, "udpcr: error: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace udpcr
