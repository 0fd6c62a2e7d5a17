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
  f_owner_ex owner{};
  std::vector<Loss> losses;
};

// The owner that the claiming process, this one, finds on socket 0.
Given given(int type, pid_t pid, const char* boot_id = "boot") {
  Given given;
  const FileOwner before{static_cast<std::uint32_t>(type), static_cast<std::uint32_t>(pid), 0};
  const SignalOwner owner(before, image_of_two(), 0, boot_id, given.losses);
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (const auto loss = owner.give(fd.get(), ::getpid())) given.losses.push_back(*loss);
  REQUIRE(::fcntl(fd.get(), F_GETOWN_EX, &given.owner) == 0);
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
  const int type = GENERATE(static_cast<int>(F_OWNER_PID), static_cast<int>(F_OWNER_TID));
  const Given now = given(type, kOld);
  CHECK(now.losses.empty());
  CHECK(now.owner.type == type);
  CHECK(now.owner.pid == ::getpid());
}

TEST_CASE("owner: the program's group, where the claiming process leads one", "[owner]") {
  const bool leads = ::getpgid(0) == ::getpid();
  const Given now = given(F_OWNER_PGRP, kOld);
  CHECK((now.owner.pid == ::getpid()) == leads);
  CHECK(now.losses.empty() == leads);
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
