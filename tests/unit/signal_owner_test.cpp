// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper/signal_owner.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

using namespace udpcr;
using keeper::SignalOwner;

namespace {

constexpr pid_t kOld = 4'000'000;    // above any pid_max that tests run under
constexpr pid_t kChild = 4'000'001;  // without the socket

Image image_of_two() {
  Image image;
  image.boot_id = "boot";
  image.sockets.resize(2);
  image.processes.push_back({kOld, {{3, 0, 0}, {4, 0, 1}}});
  image.processes.push_back({kChild, {{4, 0, 1}}});
  return image;
}

struct Given {
  wire::SocketOwner owner{};
  std::vector<Loss> losses;
};

// What the process that gets socket 0 is told.
Given given(int type, pid_t pid, const char* boot_id = "boot") {
  Given given;
  const FileOwner before{static_cast<std::uint32_t>(type), static_cast<std::uint32_t>(pid), 40};
  given.owner = SignalOwner(before, image_of_two(), 0, boot_id, given.losses).told();
  return given;
}

void is_lost(const Given& given, const std::string& who) {
  CHECK(given.owner.pid == 0);
  REQUIRE(given.losses.size() == 1);
  CHECK(given.losses[0].what == "owner");
  INFO(given.losses[0].why);
  CHECK(given.losses[0].why.find(who) == 0);
}

}  // namespace

TEST_CASE("owner: nobody stays nobody", "[owner]") {
  CHECK(given(F_OWNER_PID, 0).owner.pid == 0);
  CHECK(given(F_OWNER_PID, 0).losses.empty());
}

TEST_CASE("owner: a process that had the socket becomes the one that claims it", "[owner]") {
  const int type = GENERATE(static_cast<int>(F_OWNER_PID), static_cast<int>(F_OWNER_TID),
                            static_cast<int>(F_OWNER_PGRP));
  const Given now = given(type, kOld);
  CHECK(now.losses.empty());
  CHECK(now.owner.type == type);
  CHECK(now.owner.pid == wire::kOwnerSelf);
  CHECK(now.owner.signal == 40);
}

TEST_CASE("owner: others are kept while they live", "[owner]") {
  const Given now = given(F_OWNER_PID, ::getppid());
  CHECK(now.losses.empty());
  CHECK(now.owner.pid == ::getppid());
  is_lost(given(F_OWNER_PID, ::getppid(), "another boot"), "process ");

  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  is_lost(given(F_OWNER_PID, child), "process " + std::to_string(child));
}

TEST_CASE("owner: a process of the program that had not the socket is named", "[owner]") {
  is_lost(given(F_OWNER_PID, kChild), "process " + std::to_string(kChild));
}

TEST_CASE("owner: whom another user has set outside of the program is not for the image",
          "[owner]") {
  if (::geteuid() != 0) return;  // tests/security/fd_owner is skipped then, by name
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const uid_t setter = GENERATE(uid_t{0}, uid_t{65534});
  REQUIRE(::seteuid(setter) == 0);
  const f_owner_ex who{F_OWNER_PID, ::getpid()};
  const bool set = ::fcntl(fd.get(), F_SETOWN_EX, &who) == 0;
  REQUIRE(::seteuid(0) == 0);
  REQUIRE(set);
  SocketState state;
  state.record.owner = {F_OWNER_PID, static_cast<std::uint32_t>(::getpid()), 9};
  SECTION("a process of the program") {
    keeper::forget_foreign_owner(fd.get(), {kOld, ::getpid()}, state);
    CHECK(state.losses.empty());
    CHECK(state.record.owner.signal == 9);
  }
  SECTION("another process") {
    keeper::forget_foreign_owner(fd.get(), {kOld}, state);
    CHECK(state.losses.size() == (setter == 0 ? 0 : 1));
    CHECK(state.record.owner.pid == (setter == 0 ? static_cast<std::uint32_t>(::getpid()) : 0));
  }
}
