// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One process of the program's tree, as the keeper sees it.
#pragma once

#include <sys/types.h>

#include <deque>
#include <optional>
#include <set>
#include <udpcr/udpcr.hpp>
#include <vector>

#include "packet.hpp"
#include "wire.h"

namespace udpcr::keeper {

// An fd that a process sent for a checkpoint.
struct SentFd {
  wire::FdEntry entry;
  UniqueFd fd;
};

struct Process {
  pid_t pid = 0;
  UniqueFd pidfd;    // empty when the process had ended before we could look
  UniqueFd channel;  // ours
  UniqueFd control;  // listens for `udpcr checkpoint PID`
  int control_attempts = 0;
  // What it sent while something else was awaited.
  std::deque<Packet> early;
  bool channel_ended = false;

  // Of the checkpoint going on.
  std::vector<SentFd> sent;
  bool sent_all = false;

  [[nodiscard]] bool ended() const;
  // Its end of the channel is closed: it has ended or become another program,
  // which our signal would kill.
  [[nodiscard]] bool has_left() const;
  // When it has left: it lives, as another program.
  [[nodiscard]] bool has_executed() const;
};

// The pid of whoever made the other end of `channel`; 0 when unknown.
pid_t channel_owner(int channel);

// Thread ids of a process; empty when it is gone or /proc is not there.
std::vector<pid_t> threads_of(pid_t pid);

// False: it has ended or is on its way out, or is not known.
bool is_running(pid_t pid);

// The inodes of the sockets that a process has open; empty: we may not look.
std::optional<std::set<std::uint64_t>> open_sockets(pid_t pid);

// The same, of a process of the program; what we may not see the monitor does.
std::optional<std::set<std::uint64_t>> sockets_of_program(pid_t pid);

// 0: it has ended, or /proc does not tell.
pid_t parent_of(pid_t pid);

// Of a UDP socket: it is bound, or has sent.
bool has_port(int fd);

// How far the fds of a process can reach; 0 when /proc does not tell.
std::uint32_t fd_table_size(pid_t pid);

// CapPrm of /proc/PID/status; 0 when it cannot be read.
std::uint64_t permitted_capabilities(pid_t pid);

// How many of `threads` do not block `signal`: such a thread is either not yet
// in its handler or has left it.
unsigned threads_not_blocking(pid_t pid, const std::vector<pid_t>& threads, int signal);

// Queues the checkpoint signal, marked as the keeper's, to a thread.
// 0 or an errno.
int signal_thread(pid_t pid, pid_t thread, int signal, std::uint32_t epoch,
                  std::uint32_t magic = wire::kSignalMagic);

// Signals a process of the program.  0 or an errno.
int signal_process(pid_t pid, int pidfd, int signal);

}  // namespace udpcr::keeper
