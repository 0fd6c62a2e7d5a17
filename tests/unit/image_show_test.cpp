// SPDX-License-Identifier: LGPL-2.1-or-later
#include <catch2/catch.hpp>
#include <cstdio>

#include "image_sample.hpp"
#include "scratch_folder.hpp"
#include "show.hpp"

using namespace udpcr;
using Catch::Matchers::Contains;

namespace {

struct Ran {
  int status = -1;
  std::string out;
  std::string err;
};

std::string contents(const test::ScratchFolder& folder, const std::string& name) {
  const Bytes bytes = folder.get(name);
  return {bytes.begin(), bytes.end()};
}

// Runs a command of the tool with its output in files.
Ran run(int (*command)(int, char**), std::vector<std::string> arguments) {
  const test::ScratchFolder folder;
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::fflush(nullptr);
  const UniqueFd out(dup(STDOUT_FILENO));
  const UniqueFd err(dup(STDERR_FILENO));
  const auto redirect = [&](int fd, const char* name) {
    const UniqueFd file(openat(folder.fd(), name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    dup2(file.get(), fd);
  };
  redirect(STDOUT_FILENO, "out");
  redirect(STDERR_FILENO, "err");
  Ran ran;
  ran.status = command(static_cast<int>(arguments.size()), argv.data());
  std::fflush(nullptr);
  dup2(out.get(), STDOUT_FILENO);
  dup2(err.get(), STDERR_FILENO);
  ran.out = contents(folder, "out");
  ran.err = contents(folder, "err");
  return ran;
}

}  // namespace

TEST_CASE("show makes a table", "[show]") {
  const test::ScratchFolder folder;
  folder.put("app.udpcr", serialize_image(test::sample_image()));
  const std::string path = folder.path("app.udpcr");

  Ran ran = run(tool::show_main, {"show", path});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK_THAT(ran.out, Contains("/usr/sbin/dnsmasq --port=5353 '' --conf-file") &&
                          Contains("host.example") && Contains("6.1.0-test") &&
                          Contains("2023-11-14T22:13:20.123456789Z") &&
                          Contains("userspace engine") && Contains("3@100,7@100,3@101") &&
                          Contains("[fe80::1%2]:5353") && Contains("[fe80::2%3]:53") &&
                          Contains("enp0s31f6") && Contains("127.0.0.1:5000"));
  CHECK_THAT(ran.out, Contains("3 sockets, 7 datagrams queued (21 bytes)"));
  CHECK_THAT(ran.out, Contains("Not kept:") && Contains("224.0.0.251 on eth0 was joined; join") &&
                          Contains("fd 9 is no UDP socket"));
  CHECK_THAT(ran.out, Contains("On socket 0: member of 239.1.2.3 on enp0s31f6; member of "
                               "ff05::1234 on interface 3 from 2001:db8::1, 2001:db8::2; member "
                               "of 2001:db8:: on enp0s31f6 (anycast); in network namespace blue; "
                               "interfaces 2 enp0s31f6, 3 wlan0; group 1234 is signalled by 10; "
                               "cgroup 4294967298; label system_u:object_r:named_t:s0:c1; number "
                               "0 of its SO_REUSEPORT group; transmit timestamp 41 is next; shut "
                               "down for receiving; "
                               "pending error: Connection refused; 3 messages in the error "
                               "queue; 100 corked bytes; 4 datagrams held aside\n"));
  CHECK_THAT(ran.out, !Contains("SOURCE") && !Contains("On socket 1"));

  ran = run(tool::show_main, {"show", "--queues", path});
  CHECK(ran.status == 0);
  CHECK_THAT(ran.out, Contains("SOURCE") && Contains("127.0.0.1:4000  -            "));
}

TEST_CASE("show makes JSON", "[show]") {
  const test::ScratchFolder folder;
  Image image = test::sample_image();
  image.arguments.push_back("\"quoted\\\n\x01\xff\xe2\x82\xac\"");
  folder.put("app.udpcr", serialize_image(image));
  const Ran ran = run(tool::show_main, {"show", "--json", "--queues", folder.path("app.udpcr")});
  CHECK(ran.status == 0);
  CHECK_THAT(ran.out, Contains(R"("\"quoted\\\u000a\u0001\ufffd)"
                               "\xe2\x82\xac\\\"\""));
  CHECK_THAT(ran.out, Contains("\"created_ns\": 1700000000123456789"));
  CHECK_THAT(ran.out, Contains("\"address\": \"fe80::2\"") && Contains("\"scope\": 3"));
  CHECK_THAT(ran.out, Contains("\"value_hex\": \"00000400\""));
  // Python's reader is the judge of the form.
  folder.put("out.json", Bytes(ran.out.begin(), ran.out.end()));
  const std::string judge =
      "/usr/bin/python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); "
      "s=d[\"sockets\"]; assert len(s)==3 and len(s[0][\"receive_queue\"][\"list\"])==5 and "
      "s[0][\"fds\"][2]=={\"pid\":101,\"fd\":3} and s[2][\"local\"] is None and "
      "d[\"processes\"]==[100,101] and s[0][\"corked_bytes\"]==100 and "
      "s[0][\"memberships\"][1]==dict(group=\"ff05::1234\",interface=3,device=\"\","
      "kind=\"include\",sources=[\"2001:db8::1\",\"2001:db8::2\"]) and "
      "s[0][\"netns\"]==\"blue\" and s[0][\"owner\"]==dict(type=\"group\",pid=1234,signal=10) and "
      "s[0][\"interfaces\"][1]==dict(index=3,name=\"wlan0\") and s[0][\"cgroup\"]==4294967298 and "
      "s[0][\"label\"].startswith(\"system_u\") and s[0][\"reuseport_index\"]==0 and "
      "s[0][\"timestamp_key\"]==41 and s[1][\"owner\"][\"type\"]==\"nobody\" and "
      "s[1][\"memberships\"]==[] and s[0][\"shutdown\"]==1' " +
      folder.path("out.json");
  CHECK(std::system(judge.c_str()) == 0);
}

TEST_CASE("what an image says cannot reach the terminal as control characters", "[show]") {
  const test::ScratchFolder folder;
  Image image = test::sample_image();
  image.host = "\x1b[2J\xc2\x9b\xff\xc3\xa4";
  folder.put("app.udpcr", serialize_image(image));
  const Ran ran = run(tool::show_main, {"show", folder.path("app.udpcr")});
  CHECK_THAT(ran.out, Contains("\\x1b[2J\\xc2\\x9b\\xff\xc3\xa4"));
  CHECK_THAT(ran.out, !Contains("\x1b"));
}

TEST_CASE("UTF-8 is told from what is not", "[show]") {
  const auto length = [](const std::string& text) { return tool::utf8_length(text, 0); };
  CHECK(length("a") == 1);
  CHECK(length("\xc3\xa4") == 2);
  CHECK(length("\xe2\x82\xac") == 3);
  CHECK(length("\xf0\x9f\x98\x80") == 4);
  for (const char* bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xe2\x82",
                          "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80"}) {
    CHECK(length(bad) == 0);
  }
}

TEST_CASE("verify says whether an image is sound", "[show]") {
  const test::ScratchFolder folder;
  const std::string path = folder.path("app.udpcr");
  folder.put("app.udpcr", serialize_image(test::sample_image()));
  Ran ran = run(tool::verify_main, {"verify", path});
  CHECK(ran.status == 0);
  CHECK(ran.out == path + ": whole and sound, 3 sockets, 7 datagrams\n");

  Image broken = test::sample_image();
  broken.sockets[1].record = {9, 9, 9, 9};
  folder.put("app.udpcr", serialize_image(broken));
  ran = run(tool::verify_main, {"verify", path});
  CHECK(ran.status == 1);
  CHECK(ran.out.empty());
  CHECK_THAT(ran.err, Contains("image " + path + ": socket 1: broken message"));

  folder.put("app.udpcr", {'U', 'D', 'P'});
  ran = run(tool::verify_main, {"verify", path});
  CHECK(ran.status == 1);
  CHECK_THAT(ran.err, Contains("truncated image"));
  ran = run(tool::show_main, {"show", folder.path("none/app.udpcr")});
  CHECK(ran.status == 1);
  CHECK_THAT(ran.err, Contains("none/"));
}

TEST_CASE("wrong usage is status 2", "[show]") {
  CHECK(run(tool::show_main, {"show"}).status == 2);
  CHECK(run(tool::show_main, {"show", "a", "b"}).status == 2);
  CHECK(run(tool::show_main, {"show", "--colour", "a"}).status == 2);
  CHECK(run(tool::verify_main, {"verify"}).status == 2);
  CHECK(run(tool::verify_main, {"verify", "--json", "a"}).status == 2);
  const Ran help = run(tool::show_main, {"show", "--help"});
  CHECK(help.status == 0);
  CHECK_THAT(help.out, Contains("--queues"));
}
