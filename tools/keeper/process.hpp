// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One process of the program's tree, as the keeper sees it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <udpcr/udpcr.hpp>
#include <vector>

#include "packet.hpp"
#include "proof.hpp"
#include "wire.h"

namespace udpcr::keeper {

// An fd that a process sent for a checkpoint.
struct SentFd {
  wire::FdEntry entry;
  UniqueFd fd;
};

struct Process {
  pid_t pid = 0;
  uid_t uid = uid_t(-1);  // its real user when it joined
  UniqueFd pidfd;         // empty when the process had ended before we could look
  // Until it is answered nothing is done to that process: before Linux 6.5.
  std::optional<Challenge> unanswered;
  UniqueFd channel;     // ours
  unsigned faults = 0;  // messages that were refused
  UniqueFd control;     // listens for `udpcr checkpoint PID`
  int control_attempts = 0;
  // What it sent while something else was awaited.
  std::deque<Packet> early;
  bool channel_ended = false;

  // Of the checkpoint going on.
  std::vector<SentFd> sent;
  bool sent_all = false;
  std::string failure;  // why what it sent cannot be used; empty: it can

  [[nodiscard]] bool ended() const;
  // Whether it may be signalled: it is proven to be of the tree, and who it was when
  // it joined could signal it now, whatever the keeper may.
  [[nodiscard]] bool may_be_signalled() const;
  // Its end of the channel is closed: it has ended or become another program,
  // which our signal would kill.
  [[nodiscard]] bool has_left() const;
  // When it has left: it lives, as another program.
  [[nodiscard]] bool has_executed() const;
};

// The program, whose first message `start` is; it may have ended.  Throws Error when
// it is not to be seen from here.
Process first_process(UniqueFd channel, Packet& start);
// A child of fork: `channel` is the keeper's end of its own, as its parent has passed
// it on, with its first message.  Throws Error unless it proves itself.
Process child_process(UniqueFd channel);
// The answer to its challenge.  Throws Error when it is none.
void settle(Process& process, const Packet& packet);

// Thread ids of a process; empty when it is gone or /proc is not there.  Throws
// Error when they could not be read.
std::vector<pid_t> threads_of(pid_t pid);

// False: it has ended or is on its way out, or is not known.  Throws Error.
bool is_running(pid_t pid);
// 0: there is no such process.
pid_t parent_of(pid_t pid);

// The inodes of the sockets that a process has open; empty: we may not or could
// not look.
std::optional<std::set<std::uint64_t>> open_sockets(pid_t pid);

// The same, of a process of the program; what we may not see the monitor does.
std::optional<std::set<std::uint64_t>> sockets_of_program(pid_t pid);

// Whether a process has UDP sockets.  False: it may not be looked at.
bool look_for_udp(pid_t pid, int pidfd, bool& has_udp);

// Of a UDP socket: it is bound, or has sent.  Throws Error.
bool has_port(int fd);

// The inode of a socket.  Throws Error.
std::uint64_t inode_of(int fd);

// Whether the process ends before that time; failures of poll(2) do not
// shorten it.  A process without a pidfd had ended when it was looked at.
bool ends_within(int pidfd, std::chrono::milliseconds patience);

// How far the fds of a process can reach; 0 when /proc does not tell.  Throws
// Error when it could not be read.
std::uint32_t fd_table_size(pid_t pid);

// How many of `threads` do not block `signal`: such a thread is either not yet
// in its handler or has left it.
unsigned threads_not_blocking(pid_t pid, const std::vector<pid_t>& threads, int signal);

// Queues the checkpoint signal, marked as the keeper's, to a thread of the process.
// 0 or an errno: EPERM where it may not be signalled.
int signal_thread(const Process& process, pid_t thread, int signal, std::uint32_t epoch,
                  std::uint32_t magic = wire::kSignalMagic);

// Signals a process of the program.  0 or an errno.
int signal_process(pid_t pid, int pidfd, int signal);

}  // namespace udpcr::keeper
