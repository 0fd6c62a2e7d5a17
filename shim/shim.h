// SPDX-License-Identifier: LGPL-2.1-or-later
//
// libudpcr_shim.so lives inside other people's programs.
//
// THE LAW OF THIS FOLDER
//
//  1. Nothing in here allocates with malloc, throws, or uses libstdc++, Boost
//     or libnl.  Memory is static; a table that must grow takes pages by mmap,
//     outside of any handler.
//  2. What the handler of the checkpoint signal can reach (signal.cpp,
//     checkpoint.cpp, log.cpp, fd_table.h) makes these system calls only:
//     sendmsg, recvmsg, poll, futex, fstat, getpid, write, exit_group.
//     Seccomp filters of real daemons kill for any other.  It takes no lock,
//     and less than 4 KiB of stack.
//  3. errno is the program's.  Every side job saves and restores it.
//  4. No thread is started, and no process but the keeper.
//  5. The program's send and receive calls are not touched.
//  6. When something fails here, the program goes on.
//  7. Exported are exactly the names in exports.map.  A call of ours goes to
//     the C library through real(), never to our own wrapper.
//  8. A child of vfork(2) runs in its parent's memory: whoever changes state
//     looks at in_own_process() first.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include <atomic>

#include "settings.h"
#include "wire.h"

#define UDPCR_EXPORT extern "C" __attribute__((visibility("default")))

namespace udpcr {

class KeepErrno {
 public:
  KeepErrno();
  ~KeepErrno();
  KeepErrno(const KeepErrno&) = delete;
  KeepErrno& operator=(const KeepErrno&) = delete;

 private:
  int saved_;
};

struct Shim {
  Settings settings;
  // Set when the constructor has run and nothing disables us.
  std::atomic<bool> active;
  std::atomic<pid_t> pid;

  std::atomic<int> channel;  // to the keeper; -1: none
  std::atomic<int> log_fd;   // UDPCR_LOG_FILE; -1: stderr
  std::atomic<bool> keeper_tried;
  std::atomic<wire::SharedPage*> page;

  // Sockets that the keeper holds for us: how many entries of the table may
  // still be claimed.  0 for nearly every program.
  std::atomic<uint32_t> claimable;
  const wire::Table* table;

  char tool[PATH_MAX];
  const char* const* environment;

  // Who the program is.
  char executable[PATH_MAX];
  const char* arguments;  // each with its NUL
  uint32_t arguments_size;
  bool arguments_cut;
  uint64_t executable_hash;
  uint64_t arguments_hash;
};

extern Shim shim;

// False in a child of vfork(2), and in one of a raw clone.
bool in_own_process();

// Starts the keeper if that has not been tried yet.
void ensure_keeper();

}  // namespace udpcr
