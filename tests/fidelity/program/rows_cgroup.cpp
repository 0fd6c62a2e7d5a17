// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The cgroup that a socket was made in, by what sock_diag tells.
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "rows.hpp"

namespace fidelity {
namespace {

constexpr const char* kNotTold = "not told";

// Where the second version is mounted.
std::string mount_point() {
  std::ifstream mounts("/proc/self/mounts");
  std::string line;
  while (std::getline(mounts, line)) {
    std::istringstream words(line);
    std::string device, where, type;
    words >> device >> where >> type;
    if (type == "cgroup2") return where;
  }
  throw Absent("no cgroup2 is mounted");
}

void enter(const std::string& group) {
  std::ofstream processes(group + "/cgroup.procs");
  processes << "0" << std::flush;
  if (!processes) throw Absent("cannot enter a cgroup");
}

void make_in_group(Trial& trial, const Kind& kind) {
  const std::string root = mount_point();
  const std::string group = root + "/udpcr-fidelity";
  if (::mkdir(group.c_str(), 0755) != 0 && errno != EEXIST) throw Absent("cannot make a cgroup");
  enter(group);
  trial.make(kind.family);
  enter(root);
}

// The number that sock_diag gives (INET_DIAG_CGROUP_ID, since Linux 5.8).
std::string cgroup_of(const Trial& trial, const Kind& kind) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 query;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.query.sdiag_family = static_cast<std::uint8_t>(kind.family);
  request.query.sdiag_protocol = IPPROTO_UDP;
  request.query.idiag_states = ~0U;
  const int diag = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  ::send(diag, &request, sizeof request, 0);
  std::string found = kNotTold;
  alignas(nlmsghdr) char answer[32768];
  for (bool more = true; more;) {
    int size = static_cast<int>(::recv(diag, answer, sizeof answer, 0));
    if (size <= 0) break;
    for (auto* header = reinterpret_cast<nlmsghdr*>(answer); NLMSG_OK(header, size);
         header = NLMSG_NEXT(header, size)) {
      if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
        more = false;
        break;
      }
      const auto* message = static_cast<const inet_diag_msg*>(NLMSG_DATA(header));
      if (ntohs(message->id.idiag_sport) != trial.port()) continue;
      auto* attribute = reinterpret_cast<rtattr*>(static_cast<char*>(NLMSG_DATA(header)) +
                                                  NLMSG_ALIGN(sizeof *message));
      int left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof *message));
      for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type == INET_DIAG_CGROUP_ID) {
          std::uint64_t number = 0;
          std::memcpy(&number, RTA_DATA(attribute), sizeof number);
          found = std::to_string(number);
        }
      }
    }
  }
  ::close(diag);
  return found;
}

}  // namespace

void add_cgroups(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    rows.push_back({std::string("sharing/cgroup/") + kind.suffix, "cgroup",
                    [=](Trial& trial) {
                      // A program that is started again is where it is started.
                      if (trial.sets()) {
                        make_in_group(trial, kind);
                      } else {
                        trial.make(kind.family);
                      }
                      bind_to(trial.fd(), at(kind.loopback, trial.port()));
                    },
                    [=](Trial& trial) {
                      if (cgroup_of(trial, kind) == kNotTold) throw Absent("cgroups of sockets");
                    },
                    [=](Trial& trial) {
                      struct stat group {};
                      ::stat((mount_point() + "/udpcr-fidelity").c_str(), &group);
                      const std::string now = cgroup_of(trial, kind);
                      trial.answer("cgroup",
                                   now == std::to_string(group.st_ino) ? "own" : "another");
                    }});
  }
}

}  // namespace fidelity
