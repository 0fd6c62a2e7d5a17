// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/socket.h>
#include <sys/utsname.h>

#include <cerrno>
#include <cstdlib>

#include "kernel_numbers.hpp"
#include "options.hpp"
#include "rights.hpp"
#include "text_file.hpp"
#include "userspace_engine.hpp"

namespace udpcr {
namespace {

long sysctl(const char* path) {
  return std::strtol(read_text_or_nothing(path).c_str(), nullptr, 10);
}

bool has(int family, int level, int name) {
  const UniqueFd fd(rights().socket(family, SOCK_DGRAM, 0));
  return fd && read_number(fd.get(), level, name).has_value();
}

// CAP_NET_ADMIN by what it allows: SO_RCVBUFFORCE.
bool may_administer() {
  const UniqueFd fd(rights().socket(AF_INET, SOCK_DGRAM, 0));
  return fd && write_number(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 65536) == 0;
}

// CAP_CHOWN by what it allows.
bool may_chown() {
  const UniqueFd fd(rights().socket(AF_INET, SOCK_DGRAM, 0));
  return fd && rights().chown(fd.get(), ::geteuid() + 1) == 0;
}

}  // namespace

bool may_send_raw() noexcept { return rights().may_send_raw(); }

std::vector<Loss> userspace_limits() {
  constexpr const char* kModule = "load the kernel module";
  std::vector<Loss> limits;
  if (!may_send_raw()) {
    limits.push_back({"source address",
                      "this user may not open raw sockets: queued IPv4 datagrams come back from an "
                      "address of this machine, IPv6 ones from ports below 1024 as well",
                      "run with CAP_NET_RAW"});
    limits.push_back({"destination address",
                      "without raw sockets, that of multicast and broadcast datagrams becomes the "
                      "loopback address",
                      "run with CAP_NET_RAW"});
    limits.push_back(
        {"IP options, extension headers, flow label, firewall mark, priority, fragment "
         "and segment size of queued datagrams",
         "without raw sockets they cannot be sent along", "run with CAP_NET_RAW"});
  }
  if (!may_administer()) {
    limits.push_back({"buffer size",
                      "this user may not set receive buffers above net.core.rmem_max (" +
                          std::to_string(sysctl("/proc/sys/net/core/rmem_max")) +
                          " bytes) or send buffers above net.core.wmem_max (" +
                          std::to_string(sysctl("/proc/sys/net/core/wmem_max")) + " bytes)",
                      "run with CAP_NET_ADMIN"});
    limits.push_back({"SO_MARK and other privileged options", "this user may not set them",
                      "run with CAP_NET_ADMIN"});
  }
  if (!may_chown()) {
    limits.push_back({"uid", "this user may not give sockets to others", "run with CAP_CHOWN"});
  }
  if (!has(AF_INET, SOL_IP, kIpLocalPortRange)) {
    limits.push_back(
        {"automatic port",
         "this kernel cannot give a chosen port as its own choice (IP_LOCAL_PORT_RANGE)",
         "use Linux 6.3 or newer"});
  }
  if (!has(AF_INET, SOL_SOCKET, kSoBufLock)) {
    limits.push_back(
        {"buffer lock", "this kernel does not tell SO_BUF_LOCK", "use Linux 5.14 or newer"});
  }
  limits.push_back(
      {"arrival time", "datagrams that come back carry the time of the restore", kModule});
  limits.push_back({"arrival interface",
                    "datagrams that come back arrive by the interface that owns their destination, "
                    "multicast and broadcast ones by the loopback interface",
                    kModule});
  limits.push_back(
      {"original destination port", "datagrams that come back carry another", kModule});
  limits.push_back({"segment size (UDP_GRO)",
                    "only datagrams to an address of this machine from a port that is free come "
                    "back whole, others in their segments",
                    kModule});
  limits.push_back({"timestamps and recorded routes through this machine in IPv4 options",
                    "the kernel would write into them again: such options are left out", kModule});
  limits.push_back(
      {"source 0.0.0.0", "the kernel gives such a datagram an address of its own", kModule});
  limits.push_back({"corked data", "its bytes cannot be read", kModule});
  limits.push_back(
      {"pending errors, error queue", "they cannot be read without being taken", kModule});
  limits.push_back({"drop counter, counter of transmit timestamps",
                    "no system call sets or tells them", kModule});
  limits.push_back({"shutdown for sending alone",
                    "the kernel tells it of bound sockets only, and if it has udp_diag", kModule});
  constexpr const char* kSeen =
      "run the program with the shim, which sees it set them, or load the kernel module";
  limits.push_back({"IPv6 anycast, classic REUSEPORT steering",
                    "the kernel does not tell which socket has them", kSeen});
  limits.push_back({"IP_MULTICAST_IF by index, sticky IPV6_PKTINFO, IPV6_MTU, SO_BUSY_POLL_BUDGET",
                    "the kernel does not tell them", kSeen});
  constexpr const char* kAgain = "let the program set them again";
  limits.push_back({"eBPF programs, UDP_ENCAP", "they are found and named", kAgain});
  limits.push_back({"flow label leases, eBPF steering, IPsec policies (IP_XFRM_POLICY)",
                    "the kernel does not tell them", kAgain});
  limits.push_back({"security label, cgroup", "they are those of whoever restarts the program",
                    "restart in the same context"});
  limits.push_back({"bind by number or by choice",
                    "the kernel does not tell which; a port is taken to have been asked for",
                    "run the program with the shim, which sees it, or load the kernel module"});
  return limits;
}

}  // namespace udpcr
