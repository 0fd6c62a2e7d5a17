// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Calls that execute a program: it inherits of the checkpoint signal what this
// one believes, whether or not it will be under us.
#include <alloca.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "interpose.h"
#include "libc.h"
#include "signal_children.h"
#include "signals.h"

using udpcr::libc;
using udpcr::signals::children::Handover;
namespace signals = udpcr::signals;

UDPCR_EXPORT int execve(const char* path, char* const arguments[],
                        char* const environment[]) noexcept {
  const Handover handover(Handover::Of::exec);
  return libc().execve(path, arguments, environment);
}

UDPCR_EXPORT int execv(const char* path, char* const arguments[]) noexcept {
  const Handover handover(Handover::Of::exec);
  return libc().execv(path, arguments);
}

UDPCR_EXPORT int execvp(const char* file, char* const arguments[]) noexcept {
  const Handover handover(Handover::Of::exec);
  return libc().execvp(file, arguments);
}

UDPCR_EXPORT int execvpe(const char* file, char* const arguments[],
                         char* const environment[]) noexcept {
  const Handover handover(Handover::Of::exec);
  return libc().execvpe(file, arguments, environment);
}

UDPCR_EXPORT int fexecve(int fd, char* const arguments[], char* const environment[]) noexcept {
  const Handover handover(Handover::Of::exec);
  return libc().fexecve(fd, arguments, environment);
}

UDPCR_EXPORT int execveat(int folder, const char* path, char* const arguments[],
                          char* const environment[], int flags) noexcept {
  const Handover handover(Handover::Of::exec);
  return libc().execveat(folder, path, arguments, environment, flags);
}

namespace {

// Arguments up to the null pointer.
size_t count_arguments(va_list rest) {
  size_t count = 1;
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
