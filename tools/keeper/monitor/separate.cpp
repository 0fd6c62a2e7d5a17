// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "client.hpp"
#include "confine.hpp"
#include "keeper/privileges.hpp"
#include "monitor.hpp"

namespace udpcr::keeper::monitor {

namespace {

std::unique_ptr<Client> of_keeper;

// Nothing of the program's or the keeper's is kept open here but the channel.
[[noreturn]] void become_monitor(int channel, pid_t keeper, std::uint64_t rights) {
  prctl(PR_SET_NAME, "udpcr-monitor");
  constexpr int kOwn = STDERR_FILENO + 1;
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; ++fd) dup2(null, fd);
  if (channel != kOwn && dup3(channel, kOwn, O_CLOEXEC) != kOwn) _exit(1);
  close_range(kOwn + 1, ~0U, 0);
  try {
    keep_capabilities(rights);
    confine_monitor();
  } catch (const Error&) {
    _exit(1);
  }
  live(UniqueFd(kOwn), keeper);
  _exit(0);
}

}  // namespace

Client* client() noexcept { return of_keeper.get(); }

void separate(std::uint64_t most) {
  std::uint64_t rights = own_capabilities() & most;
  // By them the keeper of an ordinary user who has capabilities could signal whoever
  // connects to it: a channel tells who made it, not that he is of the tree.
  if (getuid() != 0) rights &= ~(std::uint64_t{1} << CAP_KILL | std::uint64_t{1} << CAP_SETUID);
  if (rights == 0) return keep_capabilities(0);
  int pair[2] = {-1, -1};
  const pid_t keeper = getpid();
  const bool paired = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0;
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  const pid_t child = paired ? fork() : -1;
  if (child == 0) become_monitor(theirs.get(), keeper, rights);
  keep_capabilities(0);
  // Without one the keeper goes on as an ordinary user's: what it may not do is named
  // where it is not done.
  if (child < 0) return;
  of_keeper = std::make_unique<Client>(std::move(ours), (rights >> CAP_NET_RAW & 1) != 0);
  use_rights(of_keeper.get());
}

}  // namespace udpcr::keeper::monitor
