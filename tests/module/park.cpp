// SPDX-License-Identifier: LGPL-2.1-or-later
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include "park.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "support.hpp"

namespace udpcr::test {
namespace {

// What a test leaves parked, by failing or by killing who has parked it, is
// not the next one's.
class NothingLeft : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    const auto& tags = stats.testInfo.lcaseTags;
    if (std::find(tags.begin(), tags.end(), "park") == tags.end()) return;
    Talk talk;
    for (const Message& one : parked(talk)) talk.ask(unpark_of(one.u64(UDPCR_A_INO)));
  }
};
CATCH_REGISTER_LISTENER(NothingLeft)

}  // namespace

Request park_of(int fd, const std::string& key, std::uint32_t seconds) {
  Request request(UDPCR_CMD_PARK);
  request.socket(fd);
  if (!key.empty()) request.bytes(UDPCR_A_KEY, bytes(key));
  if (seconds != 0) request.u32(UDPCR_A_SECONDS, seconds);
  return request;
}

Request claim_of(std::uint64_t inode, const std::string& key) {
  Request request(UDPCR_CMD_CLAIM);
  request.u64(UDPCR_A_INO, inode);
  if (!key.empty()) request.bytes(UDPCR_A_KEY, bytes(key));
  return request;
}

Request unpark_of(std::uint64_t inode) { return Request(UDPCR_CMD_UNPARK).u64(UDPCR_A_INO, inode); }

UniqueFd claim(Talk& talk, std::uint64_t inode, const std::string& key) {
  return UniqueFd(static_cast<int>(talk.must(claim_of(inode, key)).one().u32(UDPCR_A_FD)));
}

Request parked_everywhere() { return Request(UDPCR_CMD_PARKED).bytes(UDPCR_A_ALL_NETNS, {}); }

std::vector<Message> parked(Talk& talk) { return talk.must_dump(Request(UDPCR_CMD_PARKED)); }

Message parked_one(Talk& talk, std::uint64_t inode) {
  for (const Message& one : parked(talk)) {
    if (one.u64(UDPCR_A_INO) == inode) return one;
  }
  throw std::runtime_error("socket " + std::to_string(inode) + " is not parked");
}

bool is_parked(Talk& talk, std::uint64_t inode) {
  for (const Message& one : parked(talk)) {
    if (one.u64(UDPCR_A_INO) == inode) return true;
  }
  return false;
}

std::vector<Left> leave(const std::function<std::vector<UniqueFd>()>& make, std::uint32_t seconds,
                        End end, bool park) {
  int ends[2];
  demand(::pipe2(ends, O_CLOEXEC) == 0, "pipe");
  const pid_t child = ::fork();
  demand(child >= 0, "fork");
  if (child == 0) {
    std::string said;
    try {
      const std::vector<UniqueFd> made = make();
      Talk talk;
      for (const UniqueFd& fd : made) {
        if (park) talk.must(park_of(fd.get(), "k", seconds));
        const Left left{inode_of(fd.get()), local_of(fd.get())};
        said.append(reinterpret_cast<const char*>(&left), sizeof left);
      }
      for (std::size_t at = 0; at < said.size();) {
        const ssize_t wrote = ::write(ends[1], said.data() + at, said.size() - at);
        demand(wrote > 0, "write");
        at += static_cast<std::size_t>(wrote);
      }
      ::close(ends[1]);
      while (end == End::kill) ::pause();
    } catch (const std::exception& error) {
      (void)!::write(2, error.what(), std::strlen(error.what()));
      ::_exit(1);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  static_assert(std::is_trivially_copyable_v<Left>);
  std::string said;
  char room[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], room, sizeof room)) > 0;) {
    said.append(room, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  if (end == End::kill) ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  demand(end == End::kill || status == 0, "the program that parks has failed");
  std::vector<Left> all(said.size() / sizeof(Left));
  std::memcpy(all.data(), said.data(), all.size() * sizeof(Left));
  return all;
}

Left leave_one(const std::function<UniqueFd()>& make, std::uint32_t seconds, End end) {
  const auto all = leave(
      [&] {
        std::vector<UniqueFd> made;
        made.push_back(make());
        return made;
      },
      seconds, end);
  demand(all.size() == 1, "no socket was parked");
  return all.front();
}

std::uint64_t boottime() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

void await(const std::string& what, const std::function<bool()>& holds, int seconds) {
  const std::uint64_t end = boottime() + static_cast<std::uint64_t>(seconds) * 1000000000U;
  while (!holds()) {
    demand(boottime() < end, what + " did not happen in " + std::to_string(seconds) + " s");
    ::usleep(20000);
  }
}

int module_references() { return std::stoi(file_text("/sys/module/udpcr/refcnt")); }

}  // namespace udpcr::test
