// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Parked sockets in time and in numbers: expiry, races, thousands, the module's
// end; and that nothing runs while nothing is parked.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <set>

#include "park.hpp"
#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

constexpr std::uint64_t kSecond = 1000000000;

// A process beside this one.
class Beside {
 public:
  explicit Beside(const std::function<void()>& body) : child_(::fork()) {
    if (child_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      body();
    } catch (const std::exception& error) {
      (void)!::write(2, error.what(), std::string(error.what()).size());
      ::_exit(1);
    }
    ::_exit(0);
  }
  ~Beside() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  bool is_running() {
    if (child_ > 0 && ::waitpid(child_, &status_, WNOHANG) == child_) child_ = 0;
    return child_ > 0;
  }
  // Its wait status, when it has ended.
  [[nodiscard]] int status() const { return status_; }

 private:
  pid_t child_;
  int status_ = -1;
};

void allow_files(rlim_t count) {
  const rlimit limit{count, std::max<rlim_t>(count, 16384)};
  demand(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE");
}

}  // namespace

TEST_CASE("park: unclaimed it is closed after its seconds", "[smoke][park]") {
  Talk talk;
  const int before = module_references();
  const Left left = leave_one([] { return socket_at(address("127.0.0.1")); }, 2);
  CHECK(module_references() == before + 1);
  std::uint64_t since = 0;
  await("the program's end", [&] {
    const Message one = parked_one(talk, left.inode);
    if (one.has(UDPCR_A_SINCE)) since = one.u64(UDPCR_A_SINCE);
    return since != 0;
  });
  CHECK(since <= boottime());
  CHECK(since + 5 * kSecond > boottime());
  // Only the module looks from here on.
  std::uint64_t last_seen = 0;
  std::uint64_t end = 0;
  await("the end of the park", [&] {
    end = boottime();
    const UniqueFd again = unbound(AF_INET);
    socklen_t size = 0;
    const sockaddr_storage name = left.local.to_sockaddr(size);
    if (::bind(again.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0) return true;
    last_seen = boottime();
    return false;
  });
  CHECK(last_seen >= since + kSecond);
  CHECK(end >= since + 2 * kSecond);
  CHECK(end < since + 6 * kSecond);
  CHECK(parked(talk).empty());
  CHECK(unlike(talk.ask(claim_of(left.inode)), ENOENT, {std::to_string(left.inode)}) == "");
  CHECK(module_references() == before);
}

TEST_CASE("park: while somebody has it open its time does not begin", "[park]") {
  Talk talk;
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const std::uint64_t inode = inode_of(fd.get());
  talk.must(park_of(fd.get(), "", 1));
  for (int i = 0; i < 30; ++i) {
    ::usleep(100000);
    REQUIRE_FALSE(parked_one(talk, inode).has(UDPCR_A_SINCE));
  }
  fd.reset();
  CHECK(parked_one(talk, inode).has(UDPCR_A_SINCE));
  // It begins anew when it was open again meanwhile.
  const Message opened = talk.must(Request(UDPCR_CMD_OPEN).u64(UDPCR_A_INO, inode)).one();
  fd = UniqueFd(static_cast<int>(opened.u32(UDPCR_A_FD)));
  CHECK(talk.ask(claim_of(inode)).error == EBUSY);
  ::sleep(3);
  CHECK_FALSE(parked_one(talk, inode).has(UDPCR_A_SINCE));
  fd.reset();
  await("the end of the park", [&] { return !is_parked(talk, inode); });
}

TEST_CASE("park: a look at the socket is nobody's having it open", "[park]") {
  // Dumps and records beside claims: none of these may be told EBUSY.
  Beside looker([] {
    Talk talk;
    for (;;) {
      for (const Message& one : talk.must_dump(Request(UDPCR_CMD_SOCKET))) {
        talk.ask(Request(UDPCR_CMD_SOCKET).u64(UDPCR_A_INO, one.u64(UDPCR_A_INO)));
        talk.dump(Request(UDPCR_CMD_QUEUE).u64(UDPCR_A_INO, one.u64(UDPCR_A_INO)));
      }
    }
  });
  Talk talk;
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const std::uint64_t inode = inode_of(fd.get());
  for (int i = 0; i < 3000; ++i) {
    talk.must(park_of(fd.get()));
    fd.reset();
    const Answer answer = talk.ask(claim_of(inode));
    INFO(i << ": " << to_string(answer));
    REQUIRE(answer.error == 0);
    fd = UniqueFd(static_cast<int>(answer.one().u32(UDPCR_A_FD)));
  }
  CHECK(looker.is_running());
}

TEST_CASE("park: a list of them while others park, claim and give up", "[park]") {
  Beside busy([] {
    Talk talk;
    std::vector<UniqueFd> all;
    for (int i = 0; i < 200; ++i) all.push_back(socket_at(address("127.0.0.1")));
    for (;;) {
      for (UniqueFd& fd : all) {
        const std::uint64_t inode = inode_of(fd.get());
        talk.must(park_of(fd.get(), "busy"));
        if (inode % 3 == 0) {
          talk.must(unpark_of(inode));
        } else {
          fd.reset();
          fd = claim(talk, inode, "busy");
        }
      }
    }
  });
  const auto left = leave([] {
    std::vector<UniqueFd> made;
    for (int i = 0; i < 300; ++i) made.push_back(socket_at(address("127.0.0.1")));
    return made;
  });
  Talk talk;
  for (int round = 0; round < 200; ++round) {
    std::vector<std::uint64_t> mine;
    for (const Message& one : parked(talk)) {
      if (text(one.bytes(UDPCR_A_KEY)) == "k") mine.push_back(one.u64(UDPCR_A_INO));
    }
    // All of them, in the order of parking.
    REQUIRE(mine.size() == left.size());
    REQUIRE(std::equal(mine.begin(), mine.end(), left.begin(),
                       [](std::uint64_t inode, const Left& one) { return inode == one.inode; }));
  }
  CHECK(busy.is_running());
  // A list that is asked for, and never read to its end.
  {
    Talk lazy;
    lazy.begin_dump(Request(UDPCR_CMD_PARKED));
    for (const Left& one : left) talk.must(unpark_of(one.inode));
    // Only the first part was made before; what is no longer parked is passed over.
    const Answer answer = lazy.collect();
    CHECK(answer.error == 0);
    CHECK(std::count_if(answer.messages.begin(), answer.messages.end(), [](const Message& one) {
            return text(one.bytes(UDPCR_A_KEY)) == "k";
          }) < static_cast<std::ptrdiff_t>(left.size()));
  }
}

TEST_CASE("park: two that claim the same: one gets it, the other is told", "[smoke][park]") {
  const auto left = leave([] {
    std::vector<UniqueFd> made;
    for (int i = 0; i < 400; ++i) made.push_back(socket_at(address("127.0.0.1")));
    return made;
  });
  const Pair results = pair();
  const auto claimer = [&] {
    Talk talk;
    std::vector<UniqueFd> got;
    for (const Left& one : left) {
      const Answer answer = talk.ask(claim_of(one.inode, "k"));
      if (answer.error == 0) {
        got.emplace_back(static_cast<int>(answer.one().u32(UDPCR_A_FD)));
        demand(inode_of(got.back().get()) == one.inode, "another socket");
      } else {
        demand_like(answer, ENOENT, {std::to_string(one.inode)});
      }
    }
    const std::size_t count = got.size();
    demand(::send(results.ends[0].get(), &count, sizeof count, 0) == sizeof count, "send");
  };
  Beside first(claimer);
  Beside second(claimer);
  std::size_t total = 0;
  for (int i = 0; i < 2; ++i) {
    std::size_t count = 0;
    REQUIRE(::recv(results.ends[1].get(), &count, sizeof count, 0) == sizeof count);
    total += count;
  }
  CHECK(total == left.size());
  Talk talk;
  CHECK(parked(talk).empty());
  for (Beside* one : {&first, &second}) {
    await("a claimer's end", [&] { return !one->is_running(); });
    CHECK(one->status() == 0);
  }
}

TEST_CASE("park: 5,000 sockets, kept from a kill -9 and claimed", "[park]") {
  constexpr std::size_t kMany = 5000;
  const int before = module_references();
  std::uint64_t parking = 0;
  const Pair times = pair();
  const auto left = leave(
      [&] {
        allow_files(kMany + 100);
        std::vector<UniqueFd> made;
        for (std::size_t i = 0; i < kMany; ++i) made.push_back(socket_at(address("127.0.0.1")));
        Talk talk;
        const std::uint64_t start = boottime();
        for (const UniqueFd& fd : made) talk.must(park_of(fd.get(), "k"));
        const std::uint64_t took = boottime() - start;
        demand(::send(times.ends[0].get(), &took, sizeof took, 0) == sizeof took, "send");
        return made;
      },
      0, End::kill, false);
  REQUIRE(::recv(times.ends[1].get(), &parking, sizeof parking, 0) == sizeof parking);
  REQUIRE(left.size() == kMany);
  CHECK(module_references() == before + static_cast<int>(kMany));
  // Each gets one more.
  const UniqueFd sender = unbound(AF_INET);
  for (const Left& one : left) send_to(sender.get(), one.local, std::to_string(one.inode));
  CHECK(in_child([&] {
          allow_files(kMany + 100);
          Talk talk;
          std::uint64_t start = boottime();
          const auto listed = parked(talk);
          const std::uint64_t listing = boottime() - start;
          demand(listed.size() == kMany, std::to_string(listed.size()) + " are listed");
          start = boottime();
          std::vector<UniqueFd> claimed;
          for (const Left& one : left) claimed.push_back(claim(talk, one.inode));
          const std::uint64_t claiming = boottime() - start;
          for (std::size_t i = 0; i < kMany; ++i) {
            demand(texts(receive_all(claimed[i].get())) ==
                       std::vector<std::string>{std::to_string(left[i].inode)},
                   "a datagram is not there");
          }
          ::printf("5,000 sockets: parked in %llu ms, listed in %llu ms, claimed in %llu ms\n",
                   static_cast<unsigned long long>(parking / 1000000),
                   static_cast<unsigned long long>(listing / 1000000),
                   static_cast<unsigned long long>(claiming / 1000000));
          ::fflush(stdout);
        }) == "");
  CHECK(module_references() == before);
}

TEST_CASE("park: many that expire while others stay", "[park]") {
  Talk talk;
  const auto make = [] {
    std::vector<UniqueFd> made;
    for (int i = 0; i < 700; ++i) made.push_back(socket_at(address("127.0.0.1")));
    return made;
  };
  const auto short_ones = leave(make, 1);
  const auto long_ones = leave(make, 300);
  const auto more = leave(make, 1);
  await("the end of 1,400", [&] { return parked(talk).size() == long_ones.size(); });
  for (const Message& one : parked(talk)) CHECK(one.u32(UDPCR_A_SECONDS) == 300);
  for (const Left& one : long_ones) talk.must(unpark_of(one.inode));
  CHECK(parked(talk).empty());
}

TEST_CASE("park: what is parked keeps the module, and its network namespace for its seconds",
          "[park]") {
  const int before = module_references();
  // The namespace has no process any more.
  CHECK(in_child([] {
          become_user(1000);
          enter_own_namespaces();
          const UniqueFd fd = socket_at(address("0.0.0.0"));
          Talk().must(park_of(fd.get(), "", 2));
        }) == "");
  CHECK(module_references() == before + 1);
  CHECK(::syscall(SYS_delete_module, "udpcr", O_NONBLOCK) == -1);
  CHECK(errno == EWOULDBLOCK);
  await("the park's end", [&] { return module_references() == before; });
  UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  talk.must(park_of(fd.get()));
  CHECK(::syscall(SYS_delete_module, "udpcr", O_NONBLOCK) == -1);
  CHECK(errno == EWOULDBLOCK);
  talk.must(unpark_of(inode_of(fd.get())));
  CHECK(module_references() == before);
}

TEST_CASE("park: the most seconds: ERANGE; lowered, they hold for what is parked",
          "[smoke][park]") {
  const std::string most = "/sys/module/udpcr/parameters/max_park_seconds";
  Talk talk;
  const int before = module_references();
  const Left left = leave_one([] { return socket_at(address("127.0.0.1")); }, 86400);
  const UniqueFd open = socket_at(address("127.0.0.1"));
  CHECK(unlike(talk.ask(park_of(open.get(), "", 86401)), ERANGE, {"86401", "86400"}) == "");
  talk.must(park_of(open.get(), "", 30));
  {
    const Setting few(most, "29");
    CHECK(unlike(talk.ask(park_of(open.get(), "", 30)), ERANGE, {"max_park_seconds"}) == "");
    CHECK(talk.ask(park_of(open.get())).error == ERANGE);
  }
  // In a network namespace that nobody can reach.
  CHECK(in_child([] {
          enter_own_namespaces();
          Talk().must(park_of(socket_at(address("0.0.0.0")).get(), "", 86400));
        }) == "");
  const Setting none(most, "0");
  await("the end of both", [&] { return module_references() == before + 1; });
  CHECK_FALSE(is_parked(talk, left.inode));
  // One that somebody has open stays.
  CHECK(is_parked(talk, inode_of(open.get())));
  talk.must(unpark_of(inode_of(open.get())));
}

TEST_CASE("park: nothing runs while nothing is parked", "[park]") {
  // The tracer of workqueues tells of each work by its function's name.
  const std::string tracing = "/sys/kernel/tracing/";
  if (::access((tracing + "events").c_str(), F_OK) != 0)
    REQUIRE(::mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, nullptr) == 0);
  const Setting on(tracing + "events/workqueue/workqueue_execute_start/enable", "1");
  const auto sweeps = [&](unsigned seconds) {
    const UniqueFd emptied(::open((tracing + "trace").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
    ::sleep(seconds);
    const std::string trace = file_text(tracing + "trace");
    int count = 0;
    for (std::size_t at = 0; (at = trace.find("[udpcr]", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  sweeps(2);  // the last one of what was parked before
  CHECK(sweeps(3) == 0);
  UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  talk.must(park_of(fd.get()));
  const int while_parked = sweeps(5);
  CHECK(while_parked >= 2);
  CHECK(while_parked <= 7);
  talk.must(unpark_of(inode_of(fd.get())));
  sweeps(2);
  CHECK(sweeps(3) == 0);
}
