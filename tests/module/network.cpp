// SPDX-License-Identifier: LGPL-2.1-or-later
#include "network.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "talk.hpp"

namespace udpcr::test {
namespace {

// nodad: addresses are usable at once.
constexpr const char* kNear =
    "set -e\n"
    "ip link set lo up\n"
    "ip addr add 192.0.2.7/32 dev lo\n"
    "ip addr add 2001:db8::7/128 dev lo nodad\n"
    "ip addr add 10.9.0.1/24 dev left\n"
    "ip addr add fd00:9::1/64 dev left nodad\n"
    "ip link set left up\n";
constexpr const char* kFar =
    "set -e\n"
    "ip link set lo up\n"
    "ip addr add 10.9.0.2/24 dev right\n"
    "ip addr add fd00:9::2/64 dev right nodad\n"
    "ip link set right up\n"
    // Every datagram for a closed port is answered.
    "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit\n"
    "echo 0 > /proc/sys/net/ipv6/icmp/ratelimit\n";

int nets[3] = {-1, -1, -1};

void check(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what + ": " + std::strerror(errno));
}

void shell(const std::string& script) {
  const int status = std::system(script.c_str());
  if (status != 0) {
    throw std::runtime_error("cannot build the test network (iproute2, veth), status " +
                             std::to_string(status));
  }
}

int own_namespace() {
  const int fd = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  check(fd >= 0, "open the network namespace");
  return fd;
}

int probe = -1;  // a socket of the initial namespace that is connected to itself

void make_probe() {
  probe = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in own{};
  own.sin_family = AF_INET;
  own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof own;
  auto* name = reinterpret_cast<sockaddr*>(&own);
  const timeval patience{10, 0};
  check(::bind(probe, name, size) == 0 && ::getsockname(probe, name, &size) == 0 &&
            ::connect(probe, name, size) == 0 &&
            ::setsockopt(probe, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0,
        "a socket that is connected to itself");
  // While a socket wants time stamps all packets have them; from some moment
  // after this call on (net/core/dev.c, netstamp_work).
  const int on = 1;
  check(::setsockopt(probe, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) == 0, "SO_TIMESTAMPNS");
  ::usleep(200000);
}

// One is made when the interface has its carrier, and may be used when nobody
// else has claimed it (RFC 4862, 5.4).
void await_link_local(const std::string& interface) {
  for (int i = 0; i < 200; ++i) {
    std::istringstream list(file_text("/proc/thread-self/net/if_inet6"));
    std::string address, index, prefix, scope, flags, name;
    while (list >> address >> index >> prefix >> scope >> flags >> name) {
      const bool tentative = (std::stoul(flags, nullptr, 16) & IFA_F_TENTATIVE) != 0;
      if (name == interface && address.rfind("fe80", 0) == 0 && !tentative) return;
    }
    ::usleep(50000);
  }
  throw std::runtime_error("no link-local address of `" + interface + "` to be used in 10 s");
}

int& fd_of(Net net) { return nets[static_cast<int>(net)]; }
void enter(Net net) { check(::setns(fd_of(net), CLONE_NEWNET) == 0, "setns"); }

}  // namespace

void settle() {
  if (::gettid() != ::getpid()) return;
  // Behind the others in this processor's backlog (net/core/dev.c).
  char byte = 's';
  check(::send(probe, &byte, 1, 0) == 1 && ::recv(probe, &byte, 1, 0) == 1, "the probe's arrival");
}

void build_networks() {
  fd_of(Net::initial) = own_namespace();
  make_probe();
  for (const Net net : {Net::far, Net::near}) {
    check(::unshare(CLONE_NEWNET) == 0, "make a network namespace");
    fd_of(net) = own_namespace();
  }
  // `ip` knows a namespace by a process that lives in it.
  const pid_t resident = ::fork();
  check(resident >= 0, "fork");
  if (resident == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  enter(Net::far);
  const std::string pid = std::to_string(resident);
  shell("ip link add right type veth peer name left netns " + pid);
  shell(kFar);
  enter(Net::near);
  shell(kNear);
  ::kill(resident, SIGKILL);
  ::waitpid(resident, nullptr, 0);
  await_link_local("left");
  const In there(Net::far);
  await_link_local("right");
}

In::In(Net net) { enter(net); }
In::~In() { (void)::setns(fd_of(Net::near), CLONE_NEWNET); }

unsigned index_of(const char* interface) {
  const unsigned index = ::if_nametoindex(interface);
  check(index != 0, std::string("the index of ") + interface);
  return index;
}

std::string in_child(const std::function<void()>& body) {
  int ends[2];
  check(::pipe2(ends, O_CLOEXEC) == 0, "pipe");
  const pid_t child = ::fork();
  check(child >= 0, "fork");
  if (child == 0) {
    std::string said;
    try {
      body();
    } catch (const std::exception& error) {
      said = error.what();
      if (said.empty()) said = "an exception without words";
    }
    (void)!::write(ends[1], said.data(), said.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char room[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], room, sizeof room)) > 0;) {
    said.append(room, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  check(::waitpid(child, &status, 0) == child, "waitpid");
  if (!WIFEXITED(status)) said += " killed by signal " + std::to_string(WTERMSIG(status));
  return said;
}

void demand(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

void become_user(unsigned uid) {
  check(::setgroups(0, nullptr) == 0 && ::setgid(uid) == 0 && ::setuid(uid) == 0, "setuid");
  // Else /proc/self stays root's (fs/proc/base.c, task_dump_owner).
  check(::prctl(PR_SET_DUMPABLE, 1) == 0, "PR_SET_DUMPABLE");
}

void enter_own_namespaces() {
  const unsigned uid = ::geteuid();
  const unsigned gid = ::getegid();
  check(::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0, "unshare");
  demand(write_file("/proc/self/setgroups", "deny"), "setgroups");
  demand(write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1"), "uid_map");
  demand(write_file("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1"), "gid_map");
}

Holder::Holder(const std::function<UniqueFd()>& make) {
  int ends[2];
  check(::pipe2(ends, O_CLOEXEC) == 0, "pipe");
  child_ = ::fork();
  check(child_ >= 0, "fork");
  if (child_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      const UniqueFd fd = make();
      const std::uint64_t inode = inode_of(fd.get());
      (void)!::write(ends[1], &inode, sizeof inode);
      for (;;) ::pause();
    } catch (const std::exception&) {
      ::_exit(1);
    }
  }
  ::close(ends[1]);
  const ssize_t got = ::read(ends[0], &inode_, sizeof inode_);
  ::close(ends[0]);
  check(got == sizeof inode_, "a process that holds a socket");
}

Holder::~Holder() {
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
}

Pair pair() {
  int ends[2];
  check(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
  return {{UniqueFd(ends[0]), UniqueFd(ends[1])}};
}

void send_fd(int through, int fd) {
  char byte = 'f';
  iovec vector{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* item = CMSG_FIRSTHDR(&message);
  item->cmsg_level = SOL_SOCKET;
  item->cmsg_type = SCM_RIGHTS;
  item->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(item), &fd, sizeof fd);
  check(::sendmsg(through, &message, 0) == 1, "sendmsg of an fd");
}

UniqueFd receive_fd(int through) {
  char byte = 0;
  iovec vector{&byte, 1};
  int fd = -1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  check(::recvmsg(through, &message, MSG_CMSG_CLOEXEC) == 1, "recvmsg of an fd");
  const cmsghdr* item = CMSG_FIRSTHDR(&message);
  demand(item != nullptr && item->cmsg_type == SCM_RIGHTS, "no fd came");
  std::memcpy(&fd, CMSG_DATA(item), sizeof fd);
  return UniqueFd(fd);
}

UniqueFd sockmap_with(int fd) {
  bpf_attr map{};
  map.map_type = BPF_MAP_TYPE_SOCKMAP;
  map.key_size = map.value_size = sizeof(int);
  map.max_entries = 1;
  UniqueFd sockmap(static_cast<int>(::syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map)));
  int key = 0;
  bpf_attr element{};
  element.map_fd = static_cast<std::uint32_t>(sockmap.get());
  element.key = reinterpret_cast<std::uintptr_t>(&key);
  element.value = reinterpret_cast<std::uintptr_t>(&fd);
  if (::syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &element, sizeof element) != 0) sockmap.reset();
  return sockmap;
}

std::string file_text(const std::string& path) {
  const std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool write_file(const std::string& path, const std::string& text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

Setting::Setting(std::string path, const std::string& value)
    : path_(std::move(path)), before_(file_text(path_)) {
  if (!write_file(path_, value)) throw std::runtime_error("cannot write " + value + " to " + path_);
}

Setting::~Setting() { write_file(path_, before_); }

}  // namespace udpcr::test
