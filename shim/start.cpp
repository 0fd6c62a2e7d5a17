// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The shim's constructor, which runs before the program's own code.
#include <stdlib.h>
#include <sys/auxv.h>

#include "fd_table.h"
#include "fork.h"
#include "libc.h"
#include "log.h"
#include "main_program.h"
#include "park.h"
#include "session.h"
#include "settings.h"
#include "signals.h"
#include "sys.h"

namespace udpcr {

namespace {

constinit Settings settings = {};

// The level is not known before all is read.
struct Complaints {
  static constexpr size_t kMost = 8;
  Line lines[kMost];
  size_t count = 0;
};

void note(const char* sentence, void* context) {
  auto& complaints = *static_cast<Complaints*>(context);
  if (complaints.count < Complaints::kMost) complaints.lines[complaints.count++] << sentence;
}

__attribute__((constructor)) void start(int argc, char** argv, char** environment) {
  // Programs with more rights than their user: nothing that the user says counts.
  if (getauxval(AT_SECURE) != 0) return;
  const KeepErrno keep;
  libc();
  remember_stderr();
  Complaints complaints;
  const auto* const executed = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  read_settings(settings, environment, executed, note, &complaints);
  if (settings.disabled) return;
  set_log_level(settings.log);
  remember_process();
  if (settings.log_file[0] != '\0') open_log_file(settings.log_file);
  for (size_t i = 0; i < complaints.count; ++i) log_line(LogLevel::warn, complaints.lines[i]);
  say_what_is_not_seen();
  signals::install(settings.signal, settings.signal_chain);
  watch_forks();
  park::begin(settings.park);
  session::begin(settings, argc, argv);
}

}  // namespace

}  // namespace udpcr
