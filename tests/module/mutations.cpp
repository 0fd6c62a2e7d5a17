// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: module_mutations COUNT SEED [SECONDS]
//
// Sends COUNT requests to udpcr.ko that are broken on purpose (mutate.hpp), and
// between them as many in order, from processes of root and of a user, in the
// initial network namespace and in others; ends after SECONDS if that is
// earlier.  What gets through is read, peeked at, put back, parked and claimed beside it.  The
// judge is the kernel's log (tests/vm/kernel_log.py); here is judged that no system call gives an
// errno of the kernel's own, that the module still answers, and that enough was taken and enough
// refused.
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <udpcr/udpcr_netlink.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>

#include "mutate.hpp"

using namespace udpcr::test;

namespace {

constexpr unsigned kUser = 1000;
constexpr std::size_t kSocketsEach = 10;
constexpr std::size_t kProcesses = 6;
constexpr std::uint64_t kTurn = 64;     // messages between two looks at the sockets
constexpr std::uint64_t kFresh = 2048;  // after so many all sockets are made anew
constexpr int kMaxErrno = 511;
constexpr const char* kMostSeconds = "/sys/module/udpcr/parameters/max_park_seconds";
constexpr const char* kReferences = "/sys/module/udpcr/refcnt";

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

void check(bool holds, const std::string& what) {
  if (!holds) fail(what + ": " + std::strerror(errno));
}

// Seen by all processes.
struct Shared {
  std::atomic<std::uint64_t> sent{0}, broken{0}, taken{0}, refused{0}, unanswered{0}, read{0};
  std::atomic<std::uint64_t> inodes[kProcesses * kSocketsEach];
};

struct Kind {
  const char* name;
  bool user;         // not root
  bool own_network;  // in namespaces of its own
};

constexpr Kind kKinds[kProcesses] = {{"root", false, false},
                                     {"root beside it", false, false},
                                     {"root of another network", false, true},
                                     {"user", true, false},
                                     {"root of a user's namespaces", true, true},
                                     {"another one", true, true}};

void become(const Kind& kind) {
  if (kind.user) {
    check(::setgid(kUser) == 0 && ::setuid(kUser) == 0, "become a user");
    check(::prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");
  }
  if (!kind.own_network) return;
  check(::unshare((kind.user ? CLONE_NEWUSER : 0) | CLONE_NEWNET) == 0, "unshare");
  if (kind.user) {
    std::ofstream("/proc/self/uid_map") << "0 " << kUser << " 1";
  }
}

void set(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

// A socket that tells all that it can.
int make_socket(std::size_t number) {
  const int family = number % 2 == 0 ? AF_INET : AF_INET6;
  const int fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  check(fd >= 0, "socket");
  for (const int name :
       {SO_TIMESTAMP, SO_RXQ_OVFL, 75 /* SO_RCVMARK */, SO_REUSEPORT, SO_REUSEADDR})
    set(fd, SOL_SOCKET, name, 1);
  for (const int name : {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVOPTS, IP_RETOPTS, IP_RECVERR,
                         IP_RECVORIGDSTADDR, IP_CHECKSUM, IP_RECVFRAGSIZE})
    set(fd, SOL_IP, name, 1);
  set(fd, SOL_UDP, 104 /* UDP_GRO */, 1);
  if (family == AF_INET6) {
    set(fd, SOL_IPV6, IPV6_V6ONLY, number % 6 == 1);
    for (const int name : {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVRTHDR,
                           IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS, IPV6_RECVERR, 11 /* FLOWINFO */,
                           IPV6_RECVORIGDSTADDR, 77 /* RECVFRAGSIZE */, 2, 3, 4, 5, 8})
      set(fd, SOL_IPV6, name, 1);
  }
  if (number % 3 == 0) set(fd, SOL_SOCKET, SO_TIMESTAMPING, 0x1ff);
  if (number % 5 == 4) return fd;  // not bound
  sockaddr_in6 any{};
  any.sin6_family = static_cast<sa_family_t>(family);
  const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof any;
  check(::bind(fd, reinterpret_cast<const sockaddr*>(&any), size) == 0, "bind");
  return fd;
}

// No system call gives an errno of the kernel's own.
void judge(const char* call, ssize_t result) {
  if (result < 0 && errno > kMaxErrno) fail(std::string(call) + " gives " + std::to_string(errno));
  if (result < -1) fail(std::string(call) + " gives " + std::to_string(result));
}

// One process's sockets and its conversation with the module.
class Worker {
 public:
  Worker(Shared& shared, std::size_t number, std::uint64_t seed)
      : shared_(shared), number_(number), mutator_(seed), room_(std::size_t{128} * 1024) {
    renew();
  }

  void run(std::uint64_t count, std::chrono::steady_clock::time_point end) {
    for (std::uint64_t i = 0; i < count; ++i) {
      if (i % kTurn == 0) {
        look_at_sockets();
        if (std::chrono::steady_clock::now() >= end) return;
      }
      if (i % kFresh == kFresh - 1) renew();
      one();
    }
    look_at_sockets();
  }

 private:
  void renew() {
    // With what was opened and claimed meanwhile.
    ::close_range(3, ~0U, 0);
    open_netlink();
    subjects_.clear();
    for (std::size_t i = 0; i < kSocketsEach; ++i) {
      Subject one;
      one.fd = make_socket(i);
      one.family = i % 2 == 0 ? AF_INET : AF_INET6;
      struct stat status {};
      check(::fstat(one.fd, &status) == 0, "fstat");
      one.inode = status.st_ino;
      socklen_t size = sizeof one.cookie;
      if (i % 2 == 0) ::getsockopt(one.fd, SOL_SOCKET, SO_COOKIE, &one.cookie, &size);
      shared_.inodes[number_ * kSocketsEach + i] = one.inode;
      subjects_.push_back(one);
    }
    top_ = 0;
    for (const Subject& one : subjects_) top_ = std::max(top_, one.fd);
  }

  void open_netlink() {
    netlink_ = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
    check(netlink_ >= 0, "a netlink socket");
    const int on = 1;
    check(::setsockopt(netlink_, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) == 0, "EXT_ACK");
    if (family_ == 0) family_ = resolve();
  }

  std::uint16_t resolve() {
    Draft draft;
    draft.command = CTRL_CMD_GETFAMILY;
    draft.parts = {{CTRL_ATTR_FAMILY_NAME, {'u', 'd', 'p', 'c', 'r', 0}, {}}};
    const Octets message = encode(draft, GENL_ID_CTRL, 1);
    check(::send(netlink_, message.data(), message.size(), 0) >= 0, "send");
    const ssize_t got = ::recv(netlink_, room_.data(), room_.size(), 0);
    std::size_t at = NLMSG_HDRLEN + GENL_HDRLEN;
    while (at + sizeof(nlattr) <= static_cast<std::size_t>(std::max<ssize_t>(got, 0))) {
      nlattr head{};
      std::memcpy(&head, room_.data() + at, sizeof head);
      std::uint16_t id = 0;
      std::memcpy(&id, room_.data() + at + sizeof head, sizeof id);
      if (head.nla_type == CTRL_ATTR_FAMILY_ID) return id;
      at += NLA_ALIGN(std::max<std::size_t>(head.nla_len, sizeof head));
    }
    fail("the module is not there");
  }

  // Those of other processes, too: root may have some of them.
  std::vector<Subject> world() {
    std::vector<Subject> all = subjects_;
    for (int i = 0; i < 2; ++i) {
      Subject other;
      other.inode = shared_.inodes[mutator_.below(kProcesses * kSocketsEach)];
      all.push_back(other);
    }
    return all;
  }

  void one() {
    send(mutator_.valid(world()));
    Draft draft = mutator_.valid(world());
    mutator_.mutate(draft);
    send(draft);
    ++shared_.broken;
  }

  void send(const Draft& draft) {
    const Octets message = encode(draft, family_, ++sequence_);
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    const ssize_t sent = ::sendto(netlink_, message.data(), message.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
    judge("send to the module", sent);
    ++shared_.sent;
    // A dump is not always read to its end.
    if (mutator_.one_in(200)) {
      ::close(netlink_);
      open_netlink();
      return;
    }
    collect();
  }

  // All answers that are there; a request is done when send() returns.
  void collect() {
    bool answered = false;
    for (;;) {
      const ssize_t got = ::recv(netlink_, room_.data(), room_.size(), MSG_DONTWAIT);
      judge("recv from the module", got);
      if (got < 0) break;
      for (std::size_t at = 0; at + NLMSG_HDRLEN <= static_cast<std::size_t>(got);) {
        nlmsghdr head{};
        std::memcpy(&head, room_.data() + at, sizeof head);
        if (head.nlmsg_len < NLMSG_HDRLEN) break;
        if (head.nlmsg_type == NLMSG_ERROR || head.nlmsg_type == NLMSG_DONE) {
          std::int32_t error = 0;
          std::memcpy(&error, room_.data() + at + NLMSG_HDRLEN, sizeof error);
          ++(error == 0 ? shared_.taken : shared_.refused);
          answered = true;
        }
        at += NLMSG_ALIGN(head.nlmsg_len);
      }
    }
    if (!answered) ++shared_.unanswered;
  }

  // As a program would.
  void look_at_sockets() {
    ::close_range(static_cast<unsigned>(std::max(top_, netlink_) + 1), ~0U, 0);
    char control[4096];
    sockaddr_storage from{};
    for (const Subject& one : subjects_) {
      for (const int flags : {int{MSG_PEEK}, int{MSG_ERRQUEUE}, 0, 0, int{MSG_ERRQUEUE}, 0}) {
        iovec data{room_.data(), room_.size()};
        msghdr message{};
        message.msg_name = &from;
        message.msg_namelen = sizeof from;
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t got = ::recvmsg(one.fd, &message, flags | MSG_DONTWAIT);
        judge("recvmsg", got);
        shared_.read += got >= 0;
      }
      judge("read", ::read(one.fd, room_.data(), room_.size()));
      int error = 0;
      socklen_t size = sizeof error;
      judge("getsockopt", ::getsockopt(one.fd, SOL_SOCKET, SO_ERROR, &error, &size));
      if (error > kMaxErrno) fail("SO_ERROR is " + std::to_string(error));
      sockaddr_in6 self{};
      size = sizeof self;
      ::getsockname(one.fd, reinterpret_cast<sockaddr*>(&self), &size);
      judge("sendto",
            ::sendto(one.fd, "x", 1, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&self), size));
    }
  }

  Shared& shared_;
  std::size_t number_;
  Mutator mutator_;
  Octets room_;
  std::vector<Subject> subjects_;
  int netlink_ = -1;
  int top_ = 0;
  std::uint16_t family_ = 0;
  std::uint32_t sequence_ = 1;
};

int references() {
  int count = -1;
  std::ifstream(kReferences) >> count;
  return count;
}

// Ends all parks, so that the module can be unloaded.
void end_parks() {
  std::string before;
  std::ifstream(kMostSeconds) >> before;
  std::ofstream(kMostSeconds) << "0" << std::endl;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (references() != 0) {
    if (std::chrono::steady_clock::now() > end)
      fail("the module still has " + std::to_string(references()) + " references");
    ::usleep(50000);
  }
  std::ofstream(kMostSeconds) << before << std::endl;
}

int run(std::uint64_t count, std::uint64_t seed, std::uint64_t seconds) {
  std::printf("%llu broken requests, seed %llu\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  check(memory != MAP_FAILED, "mmap");
  auto& shared = *new (memory) Shared;
  const auto end = std::chrono::steady_clock::now() +
                   (seconds == 0 ? std::chrono::hours(24) : std::chrono::seconds(seconds));
  pid_t children[kProcesses];
  for (std::size_t i = 0; i < kProcesses; ++i) {
    children[i] = ::fork();
    check(children[i] >= 0, "fork");
    if (children[i] != 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      become(kKinds[i]);
      Worker(shared, i, seed * kProcesses + i)
          .run(count / kProcesses + (i < count % kProcesses ? 1 : 0), end);
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", kKinds[i].name, error.what());
      std::fflush(stdout);
      ::_exit(1);
    }
    ::_exit(0);
  }
  bool good = true;
  for (std::size_t i = 0; i < kProcesses; ++i) {
    int status = 0;
    ::waitpid(children[i], &status, 0);
    if (status == 0) continue;
    std::printf("%s: wait status %#x\n", kKinds[i].name, status);
    good = false;
  }
  end_parks();
  std::printf(
      "%llu sent, %llu of them broken: %llu taken, %llu refused, %llu without an answer; %llu "
      "messages read\n",
      static_cast<unsigned long long>(shared.sent), static_cast<unsigned long long>(shared.broken),
      static_cast<unsigned long long>(shared.taken),
      static_cast<unsigned long long>(shared.refused),
      static_cast<unsigned long long>(shared.unanswered),
      static_cast<unsigned long long>(shared.read));
  // Else it tries nothing.
  if (seconds == 0 && shared.broken != count) good = false;
  if (shared.taken < shared.sent / 10 || shared.refused < shared.sent / 5 || shared.read == 0) {
    std::printf("too little was taken, refused or read\n");
    good = false;
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::fprintf(stderr, "usage: module_mutations COUNT SEED [SECONDS]\n");
    return 2;
  }
  try {
    return run(std::strtoull(argv[1], nullptr, 0), std::strtoull(argv[2], nullptr, 0),
               argc == 4 ? std::strtoull(argv[3], nullptr, 0) : 0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "module_mutations: %s\n", error.what());
    return 1;
  }
}
