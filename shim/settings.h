// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The settings that UDPCR_* variables carry.  Read once, by the shim's
// constructor or by `udpcr run`; plain data, so that they can be sent to the
// keeper as they are.  No libstdc++, no allocation: the shim is built of it.
#pragma once

#include <limits.h>
#include <stdint.h>

namespace udpcr {

enum class After : uint8_t { continue_, exit_, stop };
// listen: as inherit, at the numbers of socket activation (sd_listen_fds(3)).
enum class FdMode : uint8_t { adopt, inherit, listen };
enum class Match : uint8_t { argv, exe, any };
enum class EngineChoice : uint8_t { automatic, module, userspace };
// What is kept open for the next start, and from when on.
enum class ParkMode : uint8_t { off, checkpoint, always };
enum class OnError : uint8_t { start, abort };
enum class LogLevel : uint8_t { error, warn, info, debug };
enum class QueueChoice : uint8_t { both, receive, send, none };

constexpr unsigned kLongestMap = 4095;
// sun_path of unix(7), its NUL included.
constexpr unsigned kLongestKeeper = 108;

struct Settings {
  char image[PATH_MAX];         // absolute, %-sequences filled in
  char log_file[PATH_MAX];      // absolute; empty: stderr
  char map[kLongestMap + 1];    // UDPCR_MAP as it was given
  char keeper[kLongestKeeper];  // absolute path of a keeper service; empty: none
  int32_t signal;
  uint32_t queue_max_age;  // seconds; 0: no limit
  uint32_t park_seconds;   // how long an unclaimed socket is kept
  After after;
  FdMode fds;
  Match match;
  ParkMode park;
  EngineChoice engine;
  OnError on_error;
  LogLevel log;
  QueueChoice queues;
  bool restore_options;
  bool signal_chain;
  bool keep_image;
  bool disabled;
};

// Called once for every variable whose value is not known, with a sentence
// that names the variable, the value, the values that are, and the default
// used; no newline.
using SettingsComplaint = void (*)(const char* sentence, void* context);

// Fills `settings` from `environment` (as environ(7)).  `executed` is the name
// the program was executed by (AT_EXECFN), for %e.
void read_settings(Settings& settings, const char* const* environment, const char* executed,
                   SettingsComplaint complain, void* context);

// "USR2", "SIGUSR2", "12", "RTMIN+3"; 0 when not a catchable signal.
int signal_from_name(const char* name);
// "USR2"; writes at most 16 bytes.
void signal_name(int signal, char (&name)[16]);

}  // namespace udpcr
