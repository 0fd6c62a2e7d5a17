// SPDX-License-Identifier: LGPL-2.1-or-later
#define CATCH_CONFIG_RUNNER
#include <sched.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>

namespace {

// nodad: addresses are usable at once.
constexpr const char* kNetwork =
    "set -e\n"
    "ip link set lo up\n"
    "ip addr add 192.0.2.7/32 dev lo\n"
    "ip addr add 2001:db8::7/128 dev lo nodad\n"
    "ip link add left type veth peer name right\n"
    "echo 0 > /proc/sys/net/ipv6/conf/left/accept_dad\n"
    "ip addr add 10.9.0.1/24 dev left\n"
    "ip addr add fd00:9::1/64 dev left nodad\n"
    "ip link set left up\n"
    "ip link set right up\n";

}  // namespace

int main(int argc, char** argv) {
  if (::unshare(CLONE_NEWNET) != 0) {
    std::cerr << "engine_tests: cannot make a network namespace: " << std::strerror(errno)
              << "; run as root\n";
    return 1;
  }
  const int status = std::system(kNetwork);
  if (status != 0) {
    std::cerr << "engine_tests: cannot build the test network (iproute2, veth), status " << status
              << "\n";
    return 1;
  }
  return Catch::Session().run(argc, argv);
}
