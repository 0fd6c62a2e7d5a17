// SPDX-License-Identifier: LGPL-2.1-or-later
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>

#include "checkpoint_inode.hpp"
#include "commands.hpp"
#include "keeper_request.hpp"

namespace udpcr {

namespace {

constexpr int kDefaultTimeoutSeconds = 30;

constexpr char kUsage[] =
    "usage: udpcr checkpoint [--timeout SECONDS] PID\n"
    "       udpcr checkpoint --inode N [--image PATH]\n"
    "\n"
    "Writes the UDP sockets of the program that process PID belongs to into its\n"
    "image (UDPCR_IMAGE of its start) and returns when the image stands.\n"
    "\n"
    "  --timeout SECONDS   how long to wait, default 30; 0: without limit\n"
    "\n"
    "With --inode, writes one socket of this network namespace, whoever has it, an\n"
    "orphan too (`udpcr list` shows the numbers).  Needs the kernel module, and for\n"
    "a socket that is not this user's CAP_NET_ADMIN.  The image is taken by the next\n"
    "start with UDPCR_IMAGE=PATH UDPCR_MATCH=any.\n"
    "\n"
    "  --image PATH        where to; default ./socket-N.udpcr\n"
    "\n"
    "Exit status: 0 everything is kept; 3 the image stands, but something is not\n"
    "kept, each named on a line of its own; 1 there is no new image; 2 usage.\n";

template <typename Number>
bool parse_number(const char* text, Number& number) {
  const char* const end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  return error == std::errc{} && stop == end && number >= 0;
}

int fail(const std::string& why) {
  std::fprintf(stderr, "udpcr: error: %s\n", why.c_str());
  return int(keeper::Outcome::failed);
}

int checkpoint(pid_t pid, int timeout_seconds) {
  const keeper::Report report = ask_keeper(pid, wire::Order::checkpoint, timeout_seconds);
  std::fputs(report.text.c_str(), report.outcome == keeper::Outcome::failed ? stderr : stdout);
  return int(report.outcome);
}

}  // namespace

int checkpoint_main(int argc, char** argv) {
  int timeout_seconds = kDefaultTimeoutSeconds;
  int pid = 0;
  std::uint64_t inode = 0;
  std::string image;
  bool timeout_given = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (argument == "--help") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    bool good = value != nullptr;
    if (argument == "--timeout") {
      good = good && parse_number(value, timeout_seconds);
      timeout_given = true;
      ++i;
    } else if (argument == "--inode") {
      good = good && parse_number(value, inode) && inode != 0;
      ++i;
    } else if (argument == "--image") {
      image = good ? value : "";
      good = !image.empty();
      ++i;
    } else {
      good = pid == 0 && parse_number(argument.c_str(), pid) && pid != 0;
    }
    if (!good) {
      const std::string what = argument[0] != '-' ? "\"" + argument + "\" is not a process id"
                               : value == nullptr ? argument + " has no value, or is not known"
                                                  : argument + " \"" + value + "\" is not possible";
      std::fprintf(stderr, "udpcr: error: %s\n\n%s", what.c_str(), kUsage);
      return 2;
    }
  }
  if ((pid != 0) == (inode != 0) || (inode != 0 && timeout_given) ||
      (inode == 0 && !image.empty())) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  try {
    return inode != 0 ? checkpoint_inode(inode, std::move(image))
                      : checkpoint(pid, timeout_seconds);
  } catch (const Error& error) {
    return fail(error.what());
  }
}

}  // namespace udpcr
