// SPDX-License-Identifier: LGPL-2.1-or-later
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "sys.h"
#include "text.h"

namespace udpcr {

namespace {

using Path = Text<PATH_MAX>;

constexpr char kDefaultImage[] = "./%e.udpcr";

struct SignalName {
  int number;
  const char* name;
};

// Not KILL and STOP, which cannot be caught.
constexpr SignalName kSignalNames[] = {
    {SIGHUP, "HUP"},   {SIGINT, "INT"},     {SIGQUIT, "QUIT"},     {SIGILL, "ILL"},
    {SIGTRAP, "TRAP"}, {SIGABRT, "ABRT"},   {SIGBUS, "BUS"},       {SIGFPE, "FPE"},
    {SIGUSR1, "USR1"}, {SIGSEGV, "SEGV"},   {SIGUSR2, "USR2"},     {SIGPIPE, "PIPE"},
    {SIGALRM, "ALRM"}, {SIGTERM, "TERM"},   {SIGSTKFLT, "STKFLT"}, {SIGCHLD, "CHLD"},
    {SIGCONT, "CONT"}, {SIGTSTP, "TSTP"},   {SIGTTIN, "TTIN"},     {SIGTTOU, "TTOU"},
    {SIGURG, "URG"},   {SIGXCPU, "XCPU"},   {SIGXFSZ, "XFSZ"},     {SIGVTALRM, "VTALRM"},
    {SIGPROF, "PROF"}, {SIGWINCH, "WINCH"}, {SIGIO, "IO"},         {SIGIO, "POLL"},
    {SIGPWR, "PWR"},   {SIGSYS, "SYS"},
};

bool is_catchable(uint64_t number) {
  if (number >= static_cast<uint64_t>(SIGRTMIN)) {
    return number <= static_cast<uint64_t>(SIGRTMAX);
  }
  for (const SignalName& signal : kSignalNames) {
    if (static_cast<uint64_t>(signal.number) == number) return true;
  }
  return false;
}

// Raised by the kernel for a fault: the handler would return into it for ever.
bool is_fault(int number) {
  return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE ||
         number == SIGTRAP || number == SIGSYS;
}

// Of a value, for a sentence that must keep its end.
Text<128> beginning_of(const char* value) {
  Text<128> text;
  for (size_t i = 0; value[i] != '\0' && i < 120; ++i) text << value[i];
  if (strlen(value) > 120) text << "...";
  return text;
}

class Reader {
 public:
  Reader(Settings& settings, const char* const* environment, const char* executed,
         SettingsComplaint complain, void* context)
      : settings_(settings),
        environment_(environment),
        executed_(executed),
        complain_(complain),
        context_(context) {}

  void read() {
    const char* const disable = value_of("UDPCR_DISABLE");
    settings_.disabled = disable != nullptr;
    if (settings_.disabled) return;
    settings_.signal = SIGUSR2;
    settings_.queue_max_age = 300;
    settings_.park_seconds = 60;
    settings_.log = LogLevel::warn;
    settings_.restore_options = true;

    read_signal();
    read_choice("UDPCR_SIGNAL_CHAIN", {"off", "on"}, settings_.signal_chain);
    read_choice("UDPCR_AFTER", {"continue", "exit", "stop"}, settings_.after);
    read_choice("UDPCR_QUEUES", {"both", "receive", "send", "none"}, settings_.queues);
    read_seconds("UDPCR_QUEUE_MAX_AGE", settings_.queue_max_age);
    read_choice("UDPCR_PARK", {"off", "checkpoint", "always"}, settings_.park);
    read_seconds("UDPCR_PARK_SECONDS", settings_.park_seconds);
    bool without_options = false;
    read_choice("UDPCR_OPTIONS", {"all", "none"}, without_options);
    settings_.restore_options = !without_options;
    read_choice("UDPCR_FDS", {"adopt", "inherit", "listen"}, settings_.fds);
    read_choice("UDPCR_MATCH", {"argv", "exe", "any"}, settings_.match);
    read_choice("UDPCR_ENGINE", {"auto", "module", "userspace"}, settings_.engine);
    read_choice("UDPCR_ON_ERROR", {"start", "abort"}, settings_.on_error);
    read_choice("UDPCR_KEEP_IMAGE", {"0", "1"}, settings_.keep_image);
    read_map();
    read_log_level();
    read_image();
    read_log_file();
    read_keeper();
  }

 private:
  // An empty value is none.
  const char* value_of(const char* name) const {
    const size_t length = strlen(name);
    for (const char* const* entry = environment_; entry != nullptr && *entry != nullptr; ++entry) {
      if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
        return (*entry)[length + 1] == '\0' ? nullptr : *entry + length + 1;
      }
    }
    return nullptr;
  }

  void say(const Line& line) { complain_(line.c_str(), context_); }

  // A name is the number of its place.
  template <typename Choice, size_t count>
  void read_choice(const char* variable, const char* const (&names)[count], Choice& choice) {
    const char* const value = value_of(variable);
    if (value == nullptr) return;
    for (size_t i = 0; i < count; ++i) {
      if (strcmp(value, names[i]) == 0) {
        choice = static_cast<Choice>(i);
        return;
      }
    }
    Line line;
    line << variable << "=" << beginning_of(value).c_str() << " is not known; the values are ";
    for (size_t i = 0; i < count; ++i) line << (i == 0 ? "" : ", ") << names[i];
    line << "; " << names[static_cast<size_t>(choice)] << " is used";
    say(line);
  }

  void read_seconds(const char* variable, uint32_t& seconds) {
    const char* const value = value_of(variable);
    uint64_t number = 0;
    if (value == nullptr) return;
    if (parse_number(value, UINT32_MAX, number)) {
      seconds = static_cast<uint32_t>(number);
      return;
    }
    Line line;
    line << variable << "=" << beginning_of(value).c_str()
         << " is not known; the values are whole seconds from 0 to " << UINT32_MAX << "; "
         << seconds << " is used";
    say(line);
  }

  void read_signal() {
    const char* const value = value_of("UDPCR_SIGNAL");
    if (value == nullptr) return;
    const int number = signal_from_name(value);
    if (number != 0 && !is_fault(number)) {
      settings_.signal = number;
      return;
    }
    Line line;
    line << "UDPCR_SIGNAL=" << beginning_of(value).c_str()
         << " is not known; the values are names and numbers of signals that can be caught and "
            "are not raised for faults (USR1, RTMIN+3, 12); USR2 is used";
    say(line);
  }

  // The keeper understands it, and says what it does not.
  void read_map() {
    const char* const value = value_of("UDPCR_MAP");
    if (value == nullptr) return;
    const size_t length = strlen(value);
    if (length <= kLongestMap) {
      memcpy(settings_.map, value, length + 1);
      return;
    }
    // No map, so that nothing is mapped and UDPCR_ON_ERROR is obeyed.
    settings_.map[0] = ',';
    Line line;
    line << "UDPCR_MAP is longer than " << kLongestMap << " bytes; map fewer; it is not used";
    say(line);
  }

  void read_log_level() {
    // In the order of LogLevel.
    read_choice("UDPCR_LOG", {"error", "warn", "info", "debug"}, settings_.log);
  }

  void read_image() {
    const char* const value = value_of("UDPCR_IMAGE");
    if (value != nullptr && fill_path("UDPCR_IMAGE", value, settings_.image)) return;
    if (!fill_path("UDPCR_IMAGE", kDefaultImage, settings_.image)) settings_.image[0] = '\0';
  }

  void read_log_file() {
    const char* const value = value_of("UDPCR_LOG_FILE");
    if (value == nullptr || !fill_path("UDPCR_LOG_FILE", value, settings_.log_file)) {
      settings_.log_file[0] = '\0';
    }
  }

  // Absolute, %-sequences filled in.
  bool fill_path(const char* variable, const char* given, char (&path)[PATH_MAX]) {
    const char* value = given;
    Path text;
    if (value[0] != '/') {
      char folder[PATH_MAX];
      // The system call: getcwd(3) may allocate.  "(unreachable)" is none.
      if (syscall(SYS_getcwd, folder, sizeof folder) < 0 || folder[0] != '/') {
        Line line;
        line << variable << "=" << beginning_of(value).c_str()
             << " cannot be used: the folder at start has no path ("
             << (folder[0] == '/' ? strerrordesc_np(errno) : "it is unreachable")
             << "); give an absolute path; none is used";
        say(line);
        return false;
      }
      text << folder;
      if (folder[1] != '\0') text << '/';
      while (value[0] == '.' && value[1] == '/') value += 2;
    }
    for (; *value != '\0'; ++value) {
      if (*value == '%' && value[1] != '\0') {
        add_sequence(variable, *++value, text);
      } else {
        text << *value;
      }
    }
    if (text.was_cut()) {
      Line line;
      line << variable << "=" << beginning_of(given).c_str() << " is longer than " << PATH_MAX - 1
           << " bytes when filled in; give a shorter path; the default is used";
      say(line);
      return false;
    }
    memcpy(path, text.c_str(), text.size() + 1);
    return true;
  }

  void add_sequence(const char* variable, char letter, Path& text) {
    switch (letter) {
      case 'e':
        text << base_name(executed_ == nullptr || *executed_ == '\0' ? "unknown" : executed_);
        return;
      case 'h':
        return add_host(text);
      case 'u':
        return add_user(text);
      case '%':
        text << '%';
        return;
      default: {
        text << '%' << letter;
        Line line;
        line << variable << ": %" << letter
             << " is not known; the sequences are %e, %h, %u and %%; it is left as it is";
        say(line);
      }
    }
  }

  static void add_host(Path& text) {
    utsname machine{};
    if (uname(&machine) == 0) text << machine.nodename;
  }

  // The C library's look-up loads modules and allocates; the file is enough,
  // and where the user does not stand in it, the number.
  static void add_user(Path& text) {
    Text<24> uid;
    uid << static_cast<unsigned>(syscall(SYS_geteuid));
    const int file = sys::open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    char name[64];
    const bool found = file >= 0 && find_user(file, uid.c_str(), name);
    if (file >= 0) sys::close(file);
    text << (found ? name : uid.c_str());
  }

  // passwd(5): name:password:uid:...
  static bool find_user(int file, const char* uid, char (&name)[64]) {
    char buffer[1024];
    unsigned field = 0;
    size_t name_length = 0;
    size_t matched = 0;
    bool matches = true;
    for (ssize_t size = 0; (size = sys::read(file, buffer, sizeof buffer)) > 0;) {
      for (ssize_t i = 0; i < size; ++i) {
        const char character = buffer[i];
        if (character == '\n') {
          field = 0;
          name_length = matched = 0;
          matches = true;
        } else if (character == ':') {
          if (field == 2 && matches && uid[matched] == '\0' && matched > 0) {
            name[name_length] = '\0';
            return true;
          }
          ++field;
        } else if (field == 0) {
          if (name_length + 1 >= sizeof name) {
            matches = false;
          } else {
            name[name_length++] = character;
          }
        } else if (field == 2) {
          matches = matches && uid[matched] == character;
          if (matches) ++matched;
        }
      }
    }
    return false;
  }

  void read_keeper() {
    const char* const value = value_of("UDPCR_KEEPER");
    char path[PATH_MAX] = {};
    if (value == nullptr || strcmp(value, "off") == 0) return;
    if (!fill_path("UDPCR_KEEPER", value, path)) return;
    if (strlen(path) < kLongestKeeper) {
      memcpy(settings_.keeper, path, strlen(path) + 1);
      return;
    }
    Line line;
    line << "UDPCR_KEEPER=" << beginning_of(value).c_str() << " is longer than "
         << kLongestKeeper - 1
         << " bytes, the most that a socket's name may have; let the keeper service listen at a "
            "shorter path; it is not used";
    say(line);
  }

  Settings& settings_;
  const char* const* environment_;
  const char* executed_;
  SettingsComplaint complain_;
  void* context_;
};

}  // namespace

int signal_from_name(const char* name) {
  uint64_t number = 0;
  if (parse_number(name, 64, number)) return is_catchable(number) ? static_cast<int>(number) : 0;
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (const SignalName& signal : kSignalNames) {
    if (strcmp(name, signal.name) == 0) return signal.number;
  }
  if (strcmp(name, "RTMIN") == 0) return SIGRTMIN;
  if (strcmp(name, "RTMAX") == 0) return SIGRTMAX;
  const auto span = static_cast<uint64_t>(SIGRTMAX - SIGRTMIN);
  if (strncmp(name, "RTMIN+", 6) == 0 && parse_number(name + 6, span, number)) {
    return SIGRTMIN + static_cast<int>(number);
  }
  if (strncmp(name, "RTMAX-", 6) == 0 && parse_number(name + 6, span, number)) {
    return SIGRTMAX - static_cast<int>(number);
  }
  return 0;
}

void signal_name(int signal, char (&name)[16]) {
  Text<16> text;
  const char* known = nullptr;
  for (const SignalName& candidate : kSignalNames) {
    if (candidate.number == signal && known == nullptr) known = candidate.name;
  }
  if (known != nullptr) {
    text << known;
  } else if (signal == SIGRTMIN) {
    text << "RTMIN";
  } else if (signal > SIGRTMIN && signal <= SIGRTMAX) {
    text << "RTMIN+" << signal - SIGRTMIN;
  } else {
    text << signal;
  }
  memcpy(name, text.c_str(), text.size() + 1);
}

void read_settings(Settings& settings, const char* const* environment, const char* executed,
                   SettingsComplaint complain, void* context) {
  memset(&settings, 0, sizeof settings);
  Reader(settings, environment, executed, complain, context).read();
}

}  // namespace udpcr
