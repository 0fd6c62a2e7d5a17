// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Calls that execute a program: it inherits of the checkpoint signal what this
// one believes, whether or not it will be under us.
#include <alloca.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/wait.h>

#include "interpose.h"
#include "libc.h"
#include "park.h"
#include "signal_children.h"
#include "signals.h"
#include "sys.h"
#include "turn.h"

using udpcr::libc;
using udpcr::signals::children::Handover;
namespace signals = udpcr::signals;

namespace {

// While this process is about to become another program.
struct Exec {
  Handover handover{Handover::Of::exec};
  udpcr::park::Executing parked;
};

}  // namespace

UDPCR_EXPORT int execve(const char* path, char* const arguments[],
                        char* const environment[]) noexcept {
  const Exec exec;
  return libc().execve(path, arguments, environment);
}

UDPCR_EXPORT int execv(const char* path, char* const arguments[]) noexcept {
  const Exec exec;
  return libc().execv(path, arguments);
}

UDPCR_EXPORT int execvp(const char* file, char* const arguments[]) noexcept {
  const Exec exec;
  return libc().execvp(file, arguments);
}

UDPCR_EXPORT int execvpe(const char* file, char* const arguments[],
                         char* const environment[]) noexcept {
  const Exec exec;
  return libc().execvpe(file, arguments, environment);
}

UDPCR_EXPORT int fexecve(int fd, char* const arguments[], char* const environment[]) noexcept {
  const Exec exec;
  return libc().fexecve(fd, arguments, environment);
}

UDPCR_EXPORT int execveat(int folder, const char* path, char* const arguments[],
                          char* const environment[], int flags) noexcept {
  const Exec exec;
  return libc().execveat(folder, path, arguments, environment, flags);
}

namespace {

// Arguments up to the null pointer.
size_t count_arguments(va_list rest) {
  size_t count = 1;
  // Begun by the macro below.  NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
  while (va_arg(rest, char*) != nullptr) ++count;
  return count;
}

// `copy` has room for the first, for all of `rest` and for the null pointer.
void copy_arguments(char** copy, const char* first, va_list rest) {
  *copy++ = const_cast<char*>(first);
  while ((*copy++ = va_arg(rest, char*)) != nullptr) {
  }
}

}  // namespace

// On the stack, as the C library has them.  The first may be null, whatever its
// header says.
#define UDPCR_COPY_ARGUMENTS(first)                                                  \
  const char* volatile given = first;                                                \
  va_list rest;                                                                      \
  va_start(rest, first);                                                             \
  const size_t count = given == nullptr ? 0 : count_arguments(rest);                 \
  va_end(rest);                                                                      \
  char** const arguments = static_cast<char**>(alloca((count + 1) * sizeof(char*))); \
  arguments[0] = nullptr;                                                            \
  va_start(rest, first);                                                             \
  if (count > 0) copy_arguments(arguments, given, rest)

UDPCR_EXPORT int execl(const char* path, const char* first, ...) noexcept {
  UDPCR_COPY_ARGUMENTS(first);
  va_end(rest);
  return execv(path, arguments);
}

UDPCR_EXPORT int execlp(const char* file, const char* first, ...) noexcept {
  UDPCR_COPY_ARGUMENTS(first);
  va_end(rest);
  return execvp(file, arguments);
}

UDPCR_EXPORT int execle(const char* path, const char* first, ...) noexcept {
  UDPCR_COPY_ARGUMENTS(first);
  char** const environment = va_arg(rest, char**);
  va_end(rest);
  return execve(path, arguments, environment);
}

UDPCR_EXPORT int posix_spawn(pid_t* child, const char* path,
                             const posix_spawn_file_actions_t* actions,
                             const posix_spawnattr_t* attributes, char* const arguments[],
                             char* const environment[]) {
  const Handover handover(Handover::Of::spawn);
  return libc().posix_spawn(child, path, actions, attributes, arguments, environment);
}

UDPCR_EXPORT int posix_spawnp(pid_t* child, const char* file,
                              const posix_spawn_file_actions_t* actions,
                              const posix_spawnattr_t* attributes, char* const arguments[],
                              char* const environment[]) {
  const Handover handover(Handover::Of::spawn);
  return libc().posix_spawnp(child, file, actions, attributes, arguments, environment);
}

UDPCR_EXPORT FILE* popen(const char* command, const char* mode) {
  const Handover handover(Handover::Of::spawn);
  return libc().popen(command, mode);
}

namespace {

// While any thread is in system(), the program ignores what the terminal sends.
constinit std::atomic<bool> ignoring_turn = false;
constinit int ignoring = 0;
constinit struct sigaction for_interrupt = {};
constinit struct sigaction for_quit = {};

void ignore_terminal() {
  const udpcr::Turn turn(ignoring_turn);
  if (ignoring++ > 0) return;
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  libc().sigaction(SIGINT, &ignore, &for_interrupt);
  libc().sigaction(SIGQUIT, &ignore, &for_quit);
}

void heed_terminal() {
  const udpcr::Turn turn(ignoring_turn);
  if (--ignoring > 0) return;
  libc().sigaction(SIGINT, &for_interrupt, nullptr);
  libc().sigaction(SIGQUIT, &for_quit, nullptr);
}

int spawn_shell(const char* command, const sigset_t& mask, pid_t& child) {
  posix_spawnattr_t attributes;
  sigset_t standard;
  char shell[] = "sh";
  char option[] = "-c";
  char* const arguments[] = {shell, option, const_cast<char*>(command), nullptr};
  sigemptyset(&standard);
  if (for_interrupt.sa_handler != SIG_IGN) sigaddset(&standard, SIGINT);
  if (for_quit.sa_handler != SIG_IGN) sigaddset(&standard, SIGQUIT);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &mask);
  posix_spawnattr_setsigdefault(&attributes, &standard);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  const int error = posix_spawn(&child, "/bin/sh", nullptr, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  return error;
}

}  // namespace

// The C library's own starts the shell where we cannot see it.
UDPCR_EXPORT int system(const char* command) {
  const bool as_it_is = !signals::is_watched(signals::watched_signal()) ||
                        (!signals::is_blocked_by_program() && !signals::is_ignored_by_program());
  if (command == nullptr || as_it_is) return libc().system(command);
  sigset_t child_ends;
  sigset_t before;
  pid_t child = -1;
  int status = 127 << 8;  // as if the shell had ended so
  sigemptyset(&child_ends);
  sigaddset(&child_ends, SIGCHLD);
  ignore_terminal();
  sigprocmask(SIG_BLOCK, &child_ends, &before);
  const int error = spawn_shell(command, before, child);
  if (error == 0) {
    while (waitpid(child, &status, 0) < 0) {
      if (errno == EINTR) continue;
      status = -1;
      break;
    }
  }
  const int wait_error = errno;
  heed_terminal();
  sigprocmask(SIG_SETMASK, &before, nullptr);
  errno = error != 0 ? error : wait_error;
  return status;
}
