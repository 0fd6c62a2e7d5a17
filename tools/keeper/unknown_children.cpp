// SPDX-License-Identifier: LGPL-2.1-or-later
#include "unknown_children.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <sstream>

#include "control.hpp"
#include "keeper/monitor/client.hpp"
#include "text_file.hpp"

namespace udpcr::keeper {

namespace {

// PF_EXITING and PF_FORKNOEXEC of include/linux/sched.h, Linux 6.1;
// /proc/PID/stat shows them.
constexpr unsigned long kExiting = 0x4;
constexpr unsigned long kForkedWithoutExec = 0x40;

std::string proc_of(pid_t pid) { return "/proc/" + std::to_string(pid); }

// Of a process that is neither ended nor another program by now.
bool is_copy(pid_t pid) {
  const std::string text = read_text(proc_of(pid) + "/stat");
  const std::size_t name_end = text.rfind(") ");
  if (name_end == std::string::npos) return false;
  char state = 0;
  unsigned long flags = 0;
  // state ppid pgrp session tty_nr tpgid flags
  if (std::sscanf(text.c_str() + name_end + 2, "%c %*d %*d %*d %*d %*d %lu", &state, &flags) != 2) {
    return false;
  }
  return state != 'Z' && state != 'X' &&
         (flags & (kForkedWithoutExec | kExiting)) == kForkedWithoutExec;
}

}  // namespace

std::vector<pid_t> unknown_children(const std::list<Process>& processes) {
  std::vector<pid_t> unknown;
  for (const Process& process : processes) {
    if (process.ended()) continue;
    for (const pid_t thread : threads_of(process.pid)) {
      std::istringstream children(
          read_text(proc_of(process.pid) + "/task/" + std::to_string(thread) + "/children"));
      for (pid_t child = 0; children >> child;) {
        const auto is_child = [child](const Process& other) { return other.pid == child; };
        if (child == getppid() || std::any_of(processes.begin(), processes.end(), is_child)) {
          continue;
        }
        // The children of a program that has executed itself since have the
        // keeper that it had before.
        if (is_copy(child) && !has_keeper(child)) unknown.push_back(child);
      }
    }
  }
  return unknown;
}

bool name_unknown_child(pid_t child, std::vector<Loss>& losses) {
  bool has_udp = false;
  bool readable = false;
  if (monitor::Client* const others = monitor::client()) {
    const int seen = others->child(child, parent_of(child)).value_or(0);
    readable = (seen & monitor::kChildReadable) != 0;
    has_udp = (seen & monitor::kChildHasUdp) != 0;
  } else {
    const UniqueFd pidfd(int(syscall(SYS_pidfd_open, child, 0)));
    readable = look_for_udp(child, pidfd.get(), has_udp);
  }
  if (readable && !has_udp) return false;
  losses.push_back({"process",
                    "process " + std::to_string(child) +
                        " is a child made by a system call that udpcr did not see: it was not "
                        "stopped, and of its sockets only those are kept that others have too",
                    "let the program use fork(3) or clone(2) of the C library"});
  return readable;
}

}  // namespace udpcr::keeper
