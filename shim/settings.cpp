// SPDX-License-Identifier: LGPL-2.1-or-later
#include "settings.h"

#include <signal.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "text.h"

namespace udpcr {

namespace {

struct SignalName {
  const char* name;
  int number;
};

// Those that a program can catch.
constexpr SignalName kSignals[] = {
    {"HUP", SIGHUP},     {"INT", SIGINT},       {"QUIT", SIGQUIT},     {"TRAP", SIGTRAP},
    {"USR1", SIGUSR1},   {"USR2", SIGUSR2},     {"PIPE", SIGPIPE},     {"ALRM", SIGALRM},
    {"TERM", SIGTERM},   {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD},     {"CONT", SIGCONT},
    {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU},     {"URG", SIGURG},
    {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ},     {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF},
    {"WINCH", SIGWINCH}, {"IO", SIGIO},         {"PWR", SIGPWR},       {"SYS", SIGSYS}};

// As the kernel counts them; the C library keeps the first two for itself.
constexpr int kFirstRealTime = 34;
constexpr int kLastRealTime = 64;

class Reader {
 public:
  Reader(const char* const* environment, SettingsComplaint complaint, void* context)
      : environment_(environment), complain_(complaint), context_(context) {}

  // nullptr: not set, or set to nothing.
  [[nodiscard]] const char* value(const char* name) const {
    for (const char* const* entry = environment_; *entry != nullptr; ++entry) {
      const char* rest = text_after(*entry, name);
      if (rest != nullptr && *rest == '=') return rest[1] == '\0' ? nullptr : rest + 1;
    }
    return nullptr;
  }

  template <typename Value, size_t Count>
  void choose(const char* name, Value& value_out, const char* const (&names)[Count]) const {
    const char* const text = value(name);
    if (text == nullptr) return;
    for (size_t i = 0; i < Count; ++i) {
      if (!text_equal(text, names[i])) continue;
      value_out = static_cast<Value>(i);
      return;
    }
    Text<512> known;
    for (size_t i = 0; i < Count; ++i)
      known << (i == 0 ? "" : i + 1 == Count ? " or " : ", ") << names[i];
    complain(name, text, known.c_str(), names[0]);
  }

  void seconds(const char* name, uint32_t& value_out) const {
    const char* const text = value(name);
    uint64_t number = 0;
    if (text == nullptr) return;
    if (text_number(text, UINT32_MAX, number)) {
      value_out = static_cast<uint32_t>(number);
      return;
    }
    Text<16> usual;
    usual << value_out;
    complain(name, text, "a number of seconds", usual.c_str());
  }

  void complain(const char* name, const char* text, const char* known, const char* usual) const {
    Text<1024> sentence;
    sentence << name << "=" << text << " is not known: it takes " << known << "; " << usual
             << " is used";
    complain_(sentence.c_str(), context_);
  }
  void say(const char* sentence) const { complain_(sentence, context_); }

 private:
  const char* const* environment_;
  SettingsComplaint complain_;
  void* context_;
};

const char* base_name(const char* path) {
  const char* name = path;
  for (; *path != '\0'; ++path) {
    if (*path == '/') name = path + 1;
  }
  return name;
}

template <size_t Size>
void make_absolute(Text<Size>& path, const char* given) {
  char folder[PATH_MAX];
  if (given[0] != '/' && getcwd(folder, sizeof folder) != nullptr) {
    path << (text_equal(folder, "/") ? "" : folder) << "/";
    while (given[0] == '.' && given[1] == '/') given += 2;
  }
  path << given;
}

bool fill_in(Text<PATH_MAX>& path, const char* pattern, const char* executed) {
  for (; *pattern != '\0'; ++pattern) {
    if (*pattern != '%') {
      const char one[2] = {*pattern, '\0'};
      path << one;
      continue;
    }
    utsname machine;
    switch (*++pattern) {
      case 'e':
        path << base_name(executed);
        break;
      case 'h':
        uname(&machine);
        path << machine.nodename;
        break;
      case 'u':
        path << static_cast<int64_t>(getuid());
        break;
      case '%':
        path << "%";
        break;
      default:
        return false;
    }
  }
  return !path.cut();
}

void read_image(Settings& settings, const Reader& reader, const char* executed) {
  constexpr char kUsual[] = "./%e.udpcr";
  const char* const given = reader.value("UDPCR_IMAGE");
  Text<PATH_MAX> name;
  if (given != nullptr && !fill_in(name, given, executed)) {
    reader.complain("UDPCR_IMAGE", given,
                    "a path below 4096 bytes with %e (program), %h (host), %u (user id) and %%",
                    kUsual);
    name = {};
    fill_in(name, kUsual, executed);
  } else if (given == nullptr) {
    fill_in(name, kUsual, executed);
  }
  Text<PATH_MAX> path;
  make_absolute(path, name.c_str());
  memcpy(settings.image, path.c_str(), path.length() + 1);
}

void read_signal(Settings& settings, const Reader& reader) {
  settings.signal = SIGUSR2;
  const char* const text = reader.value("UDPCR_SIGNAL");
  if (text == nullptr) return;
  const int number = signal_from_name(text);
  if (number != 0) {
    settings.signal = number;
  } else {
    reader.complain("UDPCR_SIGNAL", text, "the name or number of a signal that can be caught",
                    "USR2");
  }
}

// Named by the design, not there yet: better said than silently without effect.
void name_what_is_missing(const Reader& reader) {
  constexpr const char* kMissing[] = {"UDPCR_PARK", "UDPCR_MAP", "UDPCR_KEEPER"};
  for (const char* const name : kMissing) {
    const char* const text = reader.value(name);
    if (text == nullptr || text_equal(text, "off")) continue;
    Text<1024> sentence;
    sentence << name << "=" << text << " has no effect in this version; unset it";
    reader.say(sentence.c_str());
  }
}

}  // namespace

int signal_from_name(const char* name) {
  uint64_t number = 0;
  const char* const behind = text_after(name, "SIG");
  if (behind != nullptr) name = behind;
  for (const SignalName& known : kSignals) {
    if (text_equal(name, known.name)) return known.number;
  }
  const char* const offset = text_after(name, "RTMIN+");
  if (offset != nullptr && text_number(offset, kLastRealTime - kFirstRealTime, number)) {
    return kFirstRealTime + static_cast<int>(number);
  }
  if (!text_number(name, kLastRealTime, number)) return 0;
  const int signal = static_cast<int>(number);
  if (signal >= kFirstRealTime) return signal;
  for (const SignalName& known : kSignals) {
    if (signal == known.number) return signal;
  }
  return 0;
}

void signal_name(int signal, char (&name)[16]) {
  Text<16> text;
  if (signal >= kFirstRealTime) {
    text << "RTMIN+" << (signal - kFirstRealTime);
  } else {
    for (const SignalName& known : kSignals) {
      if (known.number == signal) text << known.name;
    }
  }
  memcpy(name, text.c_str(), text.length() + 1);
}

void read_settings(Settings& settings, const char* const* environment, const char* executed,
                   SettingsComplaint complain, void* context) {
  const Reader reader(environment, complain, context);
  memset(&settings, 0, sizeof settings);
  settings.queue_max_age = 300;
  settings.park_seconds = 60;
  settings.log = LogLevel::warn;
  settings.restore_options = true;

  settings.disabled = reader.value("UDPCR_DISABLE") != nullptr;
  if (settings.disabled) return;
  read_image(settings, reader, executed);
  read_signal(settings, reader);
  reader.choose("UDPCR_SIGNAL_CHAIN", settings.signal_chain, {"off", "on"});
  reader.choose("UDPCR_AFTER", settings.after, {"continue", "exit", "stop"});
  reader.choose("UDPCR_QUEUES", settings.queues, {"both", "receive", "send", "none"});
  reader.seconds("UDPCR_QUEUE_MAX_AGE", settings.queue_max_age);
  bool no_options = false;
  reader.choose("UDPCR_OPTIONS", no_options, {"all", "none"});
  settings.restore_options = !no_options;
  reader.seconds("UDPCR_PARK_SECONDS", settings.park_seconds);
  reader.choose("UDPCR_FDS", settings.fds, {"adopt", "inherit"});
  reader.choose("UDPCR_MATCH", settings.match, {"argv", "exe", "any"});
  reader.choose("UDPCR_ENGINE", settings.engine, {"auto", "module", "userspace"});
  reader.choose("UDPCR_ON_ERROR", settings.on_error, {"start", "abort"});
  reader.choose("UDPCR_KEEP_IMAGE", settings.keep_image, {"0", "1"});
  // In the order of LogLevel, but for the default, which comes first.
  enum class Level : uint8_t { warn, error, info, debug } level = Level::warn;
  reader.choose("UDPCR_LOG", level, {"warn", "error", "info", "debug"});
  settings.log = level == Level::warn    ? LogLevel::warn
                 : level == Level::error ? LogLevel::error
                 : level == Level::info  ? LogLevel::info
                                         : LogLevel::debug;
  const char* const log_file = reader.value("UDPCR_LOG_FILE");
  if (log_file != nullptr) {
    Text<PATH_MAX> path;
    make_absolute(path, log_file);
    memcpy(settings.log_file, path.c_str(), path.length() + 1);
  }
  name_what_is_missing(reader);
}

}  // namespace udpcr
