// SPDX-License-Identifier: LGPL-2.1-or-later
#include "list.hpp"

#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>

#include "commands.hpp"
#include "keeper/control.hpp"
#include "parked_by_inode.hpp"
#include "socket_owners.hpp"

namespace udpcr {
namespace {

constexpr char kUsage[] =
    "usage: udpcr list [--json]\n"
    "\n"
    "Lists the UDP and UDP-Lite sockets of this network namespace: the bound ones and\n"
    "those that are parked.  The kernel module tells all (CAP_NET_ADMIN); without it\n"
    "/proc/net does, which knows no number of queued datagrams and no device.\n"
    "\n"
    "STATE: parked         kept open for the next start of a program that has ended\n"
    "       parked+in-use  kept open, and its program still has it\n"
    "       tracked        a process that has it is under udpcr\n"
    "       orphan         no process has it open\n"
    "SINCE: when the program of a parked socket ended.  Parked sockets are this user's;\n"
    "for root, everybody's.  \"?\" where this user may not look at every process.\n"
    "In JSON, `since` and `expires` are seconds since 1970-01-01 UTC.\n";

std::uint64_t nanoseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::uint64_t(now.tv_sec) * 1'000'000'000 + std::uint64_t(now.tv_nsec);
}

std::vector<pid_t> pids(const SocketOwners& owners, std::uint64_t inode) {
  std::vector<pid_t> all;
  for (const SocketOwner& owner : owners.of(inode)) {
    if (all.empty() || all.back() != owner.pid) all.push_back(owner.pid);
  }
  return all;
}

tool::Listing make_listing() {
  // The owners last: what is listed must not look like an orphan because its
  // process began later.
  SocketList list = list_sockets();
  if (!list.by_module) {
    std::fprintf(stderr, "udpcr: from /proc/net only, because %s\n", list.why_not.c_str());
  }
  std::vector<keeper::ParkedSocket> parked = parked_here();
  const SocketOwners owners;
  std::map<pid_t, bool> tracked;
  UseSources sources;
  sources.all_owners = owners.complete();
  sources.owners = [&](std::uint64_t inode) { return pids(owners, inode); };
  sources.executable = executable_of;
  sources.is_tracked = [&](pid_t pid) {
    const auto [place, fresh] = tracked.try_emplace(pid, false);
    if (fresh) place->second = keeper::has_keeper(pid);
    return place->second;
  };
  tool::Listing listing;
  listing.by_module = list.by_module;
  listing.boottime = nanoseconds(CLOCK_BOOTTIME);
  listing.realtime = nanoseconds(CLOCK_REALTIME);
  listing.sockets = socket_uses(std::move(list.sockets), std::move(parked), sources);
  return listing;
}

}  // namespace

int list_main(int argc, char** argv) {
  const bool json = argc == 2 && std::strcmp(argv[1], "--json") == 0;
  if (argc > 1 && !json) {
    const bool help = argc == 2 && std::strcmp(argv[1], "--help") == 0;
    std::fputs(kUsage, help ? stdout : stderr);
    return help ? 0 : 2;
  }
  try {
    const tool::Listing listing = make_listing();
    std::fputs((json ? tool::list_json(listing) : tool::list_table(listing)).c_str(), stdout);
  } catch (const Error& error) {
    std::fprintf(stderr, "udpcr: error: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace udpcr
