// SPDX-License-Identifier: LGPL-2.1-or-later
#include "settings.h"

#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace udpcr;

namespace {

struct Read {
  Settings settings;
  std::vector<std::string> complaints;
};

Read from(std::vector<const char*> environment, const char* executed = "/usr/bin/app") {
  Read read;
  environment.push_back(nullptr);
  read_settings(
      read.settings, environment.data(), executed,
      [](const char* sentence, void* context) {
        static_cast<std::vector<std::string>*>(context)->emplace_back(sentence);
      },
      &read.complaints);
  return read;
}

std::string folder() {
  char path[PATH_MAX];
  REQUIRE(getcwd(path, sizeof path) != nullptr);
  return path;
}

bool names(const std::string& sentence, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    if (sentence.find(part) == std::string::npos) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("settings: the defaults") {
  const Read read = from({"PATH=/bin", "UDPCR_AFTER="});
  CHECK(read.complaints.empty());
  CHECK(read.settings.image == folder() + "/app.udpcr");
  CHECK(read.settings.log_file == std::string());
  CHECK(read.settings.map == std::string());
  CHECK(read.settings.signal == SIGUSR2);
  CHECK(read.settings.queue_max_age == 300);
  CHECK(read.settings.park_seconds == 60);
  CHECK(read.settings.after == After::continue_);
  CHECK(read.settings.fds == FdMode::adopt);
  CHECK(read.settings.match == Match::argv);
  CHECK(read.settings.engine == EngineChoice::automatic);
  CHECK(read.settings.on_error == OnError::start);
  CHECK(read.settings.log == LogLevel::warn);
  CHECK(read.settings.queues == QueueChoice::both);
  CHECK(read.settings.restore_options);
  CHECK_FALSE(read.settings.signal_chain);
  CHECK_FALSE(read.settings.keep_image);
  CHECK_FALSE(read.settings.disabled);
}

TEST_CASE("settings: every value that is known") {
  const Read read =
      from({"UDPCR_IMAGE=/var/lib/x.img", "UDPCR_SIGNAL=SIGRTMIN+3", "UDPCR_SIGNAL_CHAIN=on",
            "UDPCR_AFTER=stop", "UDPCR_QUEUES=none", "UDPCR_QUEUE_MAX_AGE=0", "UDPCR_OPTIONS=none",
            "UDPCR_PARK_SECONDS=7", "UDPCR_FDS=inherit", "UDPCR_MATCH=any",
            "UDPCR_ENGINE=userspace", "UDPCR_ON_ERROR=abort", "UDPCR_KEEP_IMAGE=1",
            "UDPCR_LOG=debug", "UDPCR_LOG_FILE=/tmp/x.log", "UDPCR_MAP=53=5353,eth0=ens3"});
  CHECK(read.complaints.empty());
  CHECK(read.settings.image == std::string("/var/lib/x.img"));
  CHECK(read.settings.signal == SIGRTMIN + 3);
  CHECK(read.settings.signal_chain);
  CHECK(read.settings.after == After::stop);
  CHECK(read.settings.queues == QueueChoice::none);
  CHECK(read.settings.queue_max_age == 0);
  CHECK_FALSE(read.settings.restore_options);
  CHECK(read.settings.park_seconds == 7);
  CHECK(read.settings.fds == FdMode::inherit);
  CHECK(read.settings.match == Match::any);
  CHECK(read.settings.engine == EngineChoice::userspace);
  CHECK(read.settings.on_error == OnError::abort);
  CHECK(read.settings.keep_image);
  CHECK(read.settings.log == LogLevel::debug);
  CHECK(read.settings.log_file == std::string("/tmp/x.log"));
  CHECK(read.settings.map == std::string("53=5353,eth0=ens3"));
}

TEST_CASE("settings: sockets as socket activation hands them over") {
  const Read read = from({"UDPCR_FDS=listen"});
  CHECK(read.complaints.empty());
  CHECK(read.settings.fds == FdMode::listen);
}

TEST_CASE("settings: an unknown value is one sentence, and the default is used") {
  const auto [variable, value, used] = GENERATE(
      table<const char*, const char*, const char*>({{"UDPCR_AFTER", "explode", "continue"},
                                                    {"UDPCR_QUEUES", "all", "both"},
                                                    {"UDPCR_QUEUE_MAX_AGE", "-1", "300"},
                                                    {"UDPCR_QUEUE_MAX_AGE", "4294967296", "300"},
                                                    {"UDPCR_PARK_SECONDS", "1m", "60"},
                                                    {"UDPCR_OPTIONS", "some", "all"},
                                                    {"UDPCR_FDS", "ADOPT", "adopt"},
                                                    {"UDPCR_MATCH", "name", "argv"},
                                                    {"UDPCR_ENGINE", "ebpf", "auto"},
                                                    {"UDPCR_ON_ERROR", "panic", "start"},
                                                    {"UDPCR_KEEP_IMAGE", "yes", "0"},
                                                    {"UDPCR_SIGNAL_CHAIN", "1", "off"},
                                                    {"UDPCR_LOG", "warning", "warn"},
                                                    {"UDPCR_SIGNAL", "KILL", "USR2"},
                                                    {"UDPCR_SIGNAL", "STOP", "USR2"},
                                                    {"UDPCR_SIGNAL", "SEGV", "USR2"},
                                                    {"UDPCR_SIGNAL", "33", "USR2"},
                                                    {"UDPCR_SIGNAL", "65", "USR2"},
                                                    {"UDPCR_SIGNAL", "RTMIN+31", "USR2"}}));
  const std::string entry = std::string(variable) + "=" + value;
  const Read read = from({entry.c_str()});
  REQUIRE(read.complaints.size() == 1);
  INFO(read.complaints[0]);
  CHECK(names(read.complaints[0], {variable, value, used}));
  CHECK(read.complaints[0].find('\n') == std::string::npos);
  const Read standard = from({});
  CHECK(read.settings.signal == standard.settings.signal);
  CHECK(read.settings.after == standard.settings.after);
  CHECK(read.settings.queue_max_age == standard.settings.queue_max_age);
}

TEST_CASE("settings: an image path is made absolute and filled in") {
  char host[256];
  REQUIRE(gethostname(host, sizeof host) == 0);
  CHECK(from({"UDPCR_IMAGE=x/%e.img"}, "tool").settings.image == folder() + "/x/tool.img");
  CHECK(from({"UDPCR_IMAGE=.//y"}).settings.image == folder() + "//y");
  CHECK(from({"UDPCR_IMAGE=/a/100%%"}).settings.image == std::string("/a/100%"));
  CHECK(from({"UDPCR_IMAGE=/a/%"}).settings.image == std::string("/a/%"));
  CHECK(from({"UDPCR_IMAGE=/a/%h"}).settings.image == "/a/" + std::string(host));
  const std::string user = geteuid() == 0 ? "root" : std::string();
  if (!user.empty()) CHECK(from({"UDPCR_IMAGE=/%u"}).settings.image == "/" + user);
  const Read unknown = from({"UDPCR_IMAGE=/a/%z"});
  CHECK(unknown.settings.image == std::string("/a/%z"));
  REQUIRE(unknown.complaints.size() == 1);
  CHECK(names(unknown.complaints[0], {"UDPCR_IMAGE", "%z", "%e"}));
}

TEST_CASE("settings: a path that is too long is refused") {
  const std::string entry = "UDPCR_IMAGE=/" + std::string(PATH_MAX, 'x');
  const Read read = from({entry.c_str()});
  CHECK(read.settings.image == folder() + "/app.udpcr");
  REQUIRE(read.complaints.size() == 1);
  CHECK(names(read.complaints[0], {"UDPCR_IMAGE", "xxx"}));
}

TEST_CASE("settings: a map that is too long is none") {
  const std::string longest = "UDPCR_MAP=" + std::string(kLongestMap, 'x');
  CHECK(from({longest.c_str()}).complaints.empty());
  const Read read = from({(longest + "x").c_str()});
  REQUIRE(read.complaints.size() == 1);
  CHECK(names(read.complaints[0], {"UDPCR_MAP", "4095"}));
  CHECK(read.settings.map == std::string(","));
}

TEST_CASE("settings: the path of a keeper service is a socket's name") {
  const std::string longest = "/" + std::string(kLongestKeeper - 2, 'k');
  const Read read = from({("UDPCR_KEEPER=" + longest).c_str()});
  CHECK(read.complaints.empty());
  CHECK(read.settings.keeper == longest);
  const Read longer = from({("UDPCR_KEEPER=" + longest + "k").c_str()});
  REQUIRE(longer.complaints.size() == 1);
  CHECK(names(longer.complaints[0], {"UDPCR_KEEPER", "107", "shorter"}));
  CHECK(longer.settings.keeper == std::string());
  CHECK(from({"UDPCR_KEEPER=run/k"}).settings.keeper[0] == '/');
  CHECK(from({"UDPCR_KEEPER=off"}).settings.keeper == std::string());
}

TEST_CASE("settings: disabled") {
  CHECK(from({"UDPCR_DISABLE=1", "UDPCR_AFTER=nonsense"}).settings.disabled);
  CHECK_FALSE(from({"UDPCR_DISABLE="}).settings.disabled);
  CHECK(from({"UDPCR_DISABLE=1", "UDPCR_AFTER=nonsense"}).complaints.empty());
}

TEST_CASE("settings: signal names go both ways") {
  for (int signal = 1; signal <= 64; ++signal) {
    char name[16];
    signal_name(signal, name);
    INFO(signal << " " << name);
    const bool catchable = signal != SIGKILL && signal != SIGSTOP && signal != 32 && signal != 33;
    CHECK(signal_from_name(name) == (catchable ? signal : 0));
  }
  CHECK(signal_from_name("SIGUSR2") == SIGUSR2);
  CHECK(signal_from_name("12") == 12);
  CHECK(signal_from_name("RTMAX-1") == SIGRTMAX - 1);
  CHECK(signal_from_name("RTMAX") == SIGRTMAX);
  for (const char* none : {"", "0", "SIG", "usr2", "USR2 ", "RTMIN+", "RTMIN+x", "999999999999"}) {
    CHECK(signal_from_name(none) == 0);
  }
}
