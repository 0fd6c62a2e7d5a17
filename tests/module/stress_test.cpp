// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Take aside and put back beside two readers and a sender: 5,000 times, or
// 100,000 with TEST_FULL=1; on the debug kernel only where faults are injected.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <thread>

#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

constexpr const char* kFailslab = "/sys/kernel/debug/failslab/";

bool is_debug_kernel() { return ::access("/sys/kernel/debug/kmemleak", F_OK) == 0; }

int rounds(bool with_faults = false) {
  const char* full = std::getenv("TEST_FULL");
  if (full == nullptr || *full == '\0') return 5000;
  return with_faults || !is_debug_kernel() ? 100000 : 10000;
}

bool has_faults() { return ::access((std::string(kFailslab) + "probability").c_str(), W_OK) == 0; }

// One in fifty slab allocations fails while it lives, in the threads that ask
// for it (/proc/thread-self/make-it-fail).
class Faults {
 public:
  Faults() {
    for (const auto& [name, value] :
         {std::pair{"task-filter", "Y"}, std::pair{"ignore-gfp-wait", "N"},
          std::pair{"interval", "1"}, std::pair{"times", "-1"}, std::pair{"verbose", "0"},
          std::pair{"probability", "2"}}) {
      demand(write_file(std::string(kFailslab) + name, value), std::string("failslab/") + name);
    }
  }
  ~Faults() { write_file(std::string(kFailslab) + "probability", "0"); }
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;
  // Of the thread that has made this object; opened before, for open(2) may fail.
  void in_this_thread(bool on) const {
    demand(::pwrite(switch_.get(), on ? "1" : "0", 1, 0) == 1, "make-it-fail");
  }

 private:
  UniqueFd switch_{::open("/proc/thread-self/make-it-fail", O_WRONLY | O_CLOEXEC)};
};

struct Traffic {
  explicit Traffic(int fd, bool all_kinds) : fd_(fd), all_kinds_(all_kinds) {
    const Address to = local_of(fd);
    threads_.emplace_back([this, to] {
      const UniqueFd sender = unbound(to.family);
      set(sender.get(), SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20);
      while (!stop_) {
        if (sent_ - seen_ - lost_ > 300) {
          std::this_thread::yield();
          continue;
        }
        std::string payload = std::to_string(sent_);
        // Now and then a large one, in several pages.
        if (all_kinds_ && sent_ % 97 == 0) payload.resize(20000, ' ');
        send_to(sender.get(), to, payload);
        ++sent_;
      }
    });
    for (int i = 0; i < 2; ++i) {
      threads_.emplace_back([this, &mine = read_[i]] {
        const timeval patience{0, 50000};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        std::vector<char> room(65536);
        for (;;) {
          const ssize_t size = ::recv(fd_, room.data(), room.size(), 0);
          if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (finish_) return;
            continue;
          }
          if (size < 0) {
            ++errors_;
            last_error_ = errno;
            continue;
          }
          mine.push_back(std::stoul(std::string(room.data(), static_cast<std::size_t>(size))));
          ++seen_;
        }
      });
    }
  }
  // Where other threads get little of the processors, more rounds are made.
  [[nodiscard]] bool is_short() const { return sent_ <= 1000; }
  // Ends the sending, waits until nothing is left to be read.
  void end() {
    stop_ = true;
    threads_[0].join();
    finish_ = true;
    threads_[1].join();
    threads_[2].join();
    threads_.clear();
  }
  ~Traffic() {
    if (!threads_.empty()) end();
  }
  // Each of what was sent was read once; `lost` may be missing.
  void judge(std::uint32_t lost) const {
    std::vector<unsigned> times(sent_, 0);
    for (const auto& one : read_) {
      for (const unsigned long number : one) {
        REQUIRE(number < times.size());
        ++times[number];
      }
    }
    std::size_t missing = 0;
    std::size_t doubled = 0;
    for (const unsigned count : times) {
      missing += count == 0;
      doubled += count > 1;
    }
    CHECK(doubled == 0);
    CHECK(missing == lost);
    CHECK_FALSE(is_short());
  }
  std::atomic<unsigned> sent_{0}, seen_{0}, errors_{0};
  std::atomic<unsigned> lost_{0};  // dropped by the kernel, for the sender's pace
  std::atomic<int> last_error_{0};

 private:
  int fd_;
  bool all_kinds_;
  std::atomic<bool> stop_{false}, finish_{false};
  std::vector<unsigned long> read_[2];
  std::vector<std::thread> threads_;
};

// Holds aside what comes, until nothing more has room: on a slow machine too,
// where the readers keep up with the sender.
void fill_with_lists(Talk& talk, int fd) {
  constexpr std::uint32_t kFirst = 100;
  std::uint32_t next = kFirst;
  for (const std::uint32_t before = dropped(fd); dropped(fd) == before;) {
    if (talk.take(fd, next).u32(UDPCR_A_QUEUE_COUNT) > 0) {
      ++next;
    } else {
      talk.put(next, UDPCR_POSITION_FRONT);
      std::this_thread::yield();
    }
  }
  while (next > kFirst) talk.put(--next, UDPCR_POSITION_FRONT);
}

}  // namespace

TEST_CASE("stress: take aside and put back beside two readers and a sender", "[stress]") {
  const bool v6 = GENERATE(false, true);
  const UniqueFd fd = socket_at(address(v6 ? "::1" : "127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
  Traffic traffic(fd.get(), true);
  Talk talk;
  std::uint64_t moved = 0;
  for (int i = 0; i < rounds() || traffic.is_short(); ++i) {
    moved += talk.take(fd.get(), 1).u32(UDPCR_A_QUEUE_COUNT);
    if (i % 16 == 0) (void)talk.held(1);
    // In front keeps the order; behind is put once in a while.
    talk.put(1, i % 64 == 63 ? UDPCR_POSITION_BEHIND : UDPCR_POSITION_FRONT);
  }
  traffic.end();
  CHECK(traffic.errors_ == 0);
  traffic.judge(dropped(fd.get()));
  WARN(traffic.sent_ << " sent, " << moved << " moved aside and back in " << rounds() << " rounds");
  CHECK(moved > 0);
  CHECK(charged(fd.get()) == 0);
}

TEST_CASE("stress: a small receive buffer, so that the kernel drops: its counter is right",
          "[stress]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  // Room for few, so that it is full on a slow machine too.
  set(fd.get(), SOL_SOCKET, SO_RCVBUF, 4000);
  Traffic traffic(fd.get(), false);
  Talk talk;
  for (int i = 0; i < rounds() / 2 || traffic.is_short(); ++i) {
    talk.take(fd.get(), 1);
    // What is held aside is charged: what arrives meanwhile may find no room.
    if (i % 8 == 0) (void)talk.held(1);
    talk.put(1, UDPCR_POSITION_FRONT);
    if (i % 500 == 0) fill_with_lists(talk, fd.get());
    if (i % 10 == 0) traffic.lost_ = dropped(fd.get());
  }
  traffic.end();
  CHECK(dropped(fd.get()) > 0);
  traffic.judge(dropped(fd.get()));
  CHECK(charged(fd.get()) == 0);
}

TEST_CASE("stress: pending errors are kept", "[stress]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  connect_to(sender.get(), local_of(fd.get()));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20);
  Talk talk;
  for (int i = 0; i < rounds() / 10; ++i) {
    REQUIRE(::send(sender.get(), "x", 1, 0) == 1);
    REQUIRE(
        talk.ask(Request(UDPCR_CMD_SET).socket(fd.get()).u32(UDPCR_A_ERROR, EHOSTUNREACH)).error ==
        0);
    talk.take(fd.get(), 1);
    (void)talk.held(1);
    talk.put(1, UDPCR_POSITION_FRONT);
    (void)talk.queue(fd.get());
    char byte = 0;
    REQUIRE(::recv(fd.get(), &byte, 1, MSG_DONTWAIT) == -1);
    REQUIRE(errno == EHOSTUNREACH);
    REQUIRE(::recv(fd.get(), &byte, 1, MSG_DONTWAIT) == 1);
  }
}

// Debian's kernels cannot inject faults, there it runs without; the debug
// kernel must.
TEST_CASE("stress: with slab faults in the taker nothing is lost or doubled", "[stress]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
  REQUIRE(has_faults() == is_debug_kernel());
  Traffic traffic(fd.get(), true);
  const std::unique_ptr<Faults> faults(has_faults() ? new Faults : nullptr);
  Talk talk;
  // Made before faults begin.
  const Request take = Request(UDPCR_CMD_TAKE).socket(fd.get()).u32(UDPCR_A_HANDLE, 1);
  const Request list = Request(UDPCR_CMD_QUEUE).u32(UDPCR_A_HANDLE, 1);
  const Request put =
      Request(UDPCR_CMD_PUT).u32(UDPCR_A_HANDLE, 1).u32(UDPCR_A_POSITION, UDPCR_POSITION_FRONT);
  unsigned failed = 0;
  unsigned done = 0;
  for (int i = 0; i < rounds(true) || traffic.is_short(); ++i) {
    // Each request may fail for want of memory, on the way there, in the
    // module, or on the way back: then nothing has happened, or it has.
    if (faults) faults->in_this_thread(true);
    const auto attempt = [&](const Request& request, bool dump) {
      try {
        const Answer answer = dump ? talk.dump(request) : talk.ask(request);
        if (answer.error != 0) ++failed;
        return answer.error;
      } catch (const std::runtime_error&) {
        ++failed;
        return -1;  // no answer
      }
    };
    bool unanswered = attempt(take, false) == -1;
    unanswered = (i % 8 == 0 && attempt(list, true) == -1) || unanswered;
    int put_error = 0;
    for (int k = 0; k < 20 && !unanswered; ++k) {
      put_error = attempt(put, false);
      if (put_error == 0 || put_error == ENOENT) break;
      unanswered = put_error == -1;
    }
    if (faults) faults->in_this_thread(false);
    done += put_error == 0;
    // After a lost answer the netlink socket is out of step: begin anew, which
    // puts back what it held.
    if (unanswered) talk = Talk();
  }
  talk.close();
  traffic.end();
  WARN(failed << " of the requests failed for want of memory, " << done << " rounds were whole");
  CHECK(traffic.errors_ == 0);
  traffic.judge(dropped(fd.get()));
  CHECK(done > 0);
  if (faults) CHECK(failed > 0);
  CHECK(charged(fd.get()) == 0);
}

// Hidden: tests/module/unload runs it while it unloads and loads the module.
TEST_CASE("load: the module comes and goes, no datagram is lost or doubled", "[.load]") {
  const char* seconds = std::getenv("TEST_LOAD_SECONDS");
  REQUIRE(seconds != nullptr);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::stoi(seconds));
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
  Traffic traffic(fd.get(), true);
  unsigned whole = 0;
  unsigned absent = 0;
  REQUIRE(std::ofstream("load-runs").good());  // unload waits for it
  while (std::chrono::steady_clock::now() < end) {
    try {
      Talk talk;
      for (int i = 0; i < 50; ++i) {
        talk.take(fd.get(), 1);
        talk.stage(fd.get(), 2);
        (void)talk.held(1);
        (void)talk.queue(fd.get());
        (void)talk.record(fd.get());
        talk.put(1, UDPCR_POSITION_FRONT);
        talk.drop(2);
        ++whole;
      }
      // Left to the end of the netlink socket, or of the module.
      talk.take(fd.get(), 1);
    } catch (const std::runtime_error&) {
      ++absent;
    }
  }
  traffic.end();
  CHECK(traffic.errors_ == 0);
  traffic.judge(dropped(fd.get()));
  CHECK(charged(fd.get()) == 0);
  WARN(whole << " rounds with the module, " << absent << " times it went");
  CHECK(whole > 10);
  CHECK(absent > 5);
}
