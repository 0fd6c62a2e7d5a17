// SPDX-License-Identifier: LGPL-2.1-or-later
#include "check.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <udpcr/udpcr.hpp>

#include "module_client.hpp"
#include "program_check.hpp"
#include "program_file.hpp"

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

const char* heading(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::not_run:
      return "not executable";
    case Finding::Kind::not_loaded:
      return "shim not loaded";
    case Finding::Kind::unseen:
      return "not seen";
    case Finding::Kind::note:
      break;
  }
  return "note";
}

int check_one(const char* name) {
  const ProgramCheck check = check_program(name, find_shim());
  const char* lead = "program: ";
  for (const std::string& file : check.files) {
    std::printf("%s%s\n", lead, file.c_str());
    lead = "run by: ";
  }
  for (const Finding& finding : check.findings) {
    std::printf("%s: %s\n", heading(finding.kind), finding.what.c_str());
    if (!finding.remedy.empty()) std::printf("    %s\n", finding.remedy.c_str());
  }
  const bool works = check.works();
  std::puts(works ? "works: yes, as far as its files tell" : "works: no");
  return works ? 0 : 1;
}

// A keeper service's sessions have no capability: what is told is told without them.
void say_service() {
  const char* const service = std::getenv("UDPCR_KEEPER");
  if (service == nullptr || *service == '\0') return;
  std::printf(
      "keeper: the service at %s, whose sessions have no capability: what takes one is not "
      "kept\n    without UDPCR_KEEPER a program has a keeper of its own, with its own\n",
      service);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) std::perror("udpcr: warning: capset");
}

}  // namespace

int check_main(int argc, char** argv) {
  const bool help = argc > 1 && std::strcmp(argv[1], "--help") == 0;
  int program = 1;
  if (argc > 1 && std::strcmp(argv[1], "--") == 0) ++program;
  if (help || (argc > 1 && (program == argc || (program == 1 && argv[1][0] == '-')))) {
    std::fputs(
        "usage: udpcr check [[--] PROGRAM [ARGUMENT...]]\n\n"
        "Without PROGRAM: which engine would be used here, and what it could not keep for this\n"
        "user.  With it: whether PROGRAM works under udpcr, as far as its files tell, what does\n"
        "not, and the remedies; the status is 1 when it does not work.\n",
        help ? stdout : stderr);
    return help ? 0 : 125;
  }
  if (argc > 1) return check_one(argv[program]);
  const char* const wanted = std::getenv("UDPCR_ENGINE");
  utsname kernel{};
  ::uname(&kernel);
  std::printf("kernel: %s %s, user: %u\n", kernel.sysname, kernel.release, ::geteuid());
  say_service();
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
